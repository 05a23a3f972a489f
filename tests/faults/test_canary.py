"""Tests that no credential shows anywhere: a Secret's value and the operator's token are searched for."""

import base64
import json
import secrets
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, apply
from testkit.server.accounts import account
from testkit.server.examples import example_benchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

SECRET = "s3-credentials"


@dataclass(frozen=True)
class Scene:
    """A finished, a failed and a running Benchmark, all with the Secret."""

    place: OperatorNamespace
    canaries: dict[str, str]
    log: Path


@pytest.fixture(scope="module")
def scene(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    namespace = create_namespace(plane)
    kubeconfig, log = account(plane, namespace), tmp_path_factory.mktemp("canary") / "log"
    token = json.loads(kubeconfig.read_text())["users"][0]["user"]["token"]
    canaries = {"Secret": f"canary-{secrets.token_hex(16)}", "signature of the token": token.rsplit(".", 1)[1]}
    apply(plane, secret(namespace, canaries["Secret"]))
    with (
        OperatorProcess(kubeconfig, namespace, log) as operator,
        Player(plane.kubeconfig, namespace, as_named),
    ):
        place = OperatorNamespace(plane, namespace, operator)
        for name in ("good", "bad", "long"):
            apply(plane, with_credentials(name, namespace))
        place.wait_for("Complete", "good")
        place.wait_for("Failed", "bad")
        place.wait_for("Running", "long")
        yield Scene(place, canaries, log)


def secret(namespace: str, canary: str) -> dict[str, Any]:
    ini = f"[default]\naws_access_key_id = key\naws_secret_access_key = {canary}\n"
    named = {"metadata": {"name": SECRET, "namespace": namespace}}
    return {"apiVersion": "v1", "kind": "Secret", **named, "stringData": {"credentials": ini, "bare": canary}}


def with_credentials(name: str, namespace: str) -> dict[str, Any]:
    data = {"remote": "s3://bucket/shards", "endpoint": "http://s3.example:9000", "credentialsSecret": SECRET}
    document = example_benchmark(name, data=data)
    document["metadata"]["namespace"] = namespace
    return document


def as_named(run: RunConfig, index: int) -> End | None:
    if run.attempt.startswith("long-"):
        return None
    if run.attempt.startswith("bad-"):
        return End(65, "bucket: the specified bucket does not exist", "Error")
    return measured(run, index)


def written(value: str) -> set[str]:
    """A value and its usual encodings."""
    raw = value.encode()
    return {value, base64.b64encode(raw).decode().rstrip("="), urllib.parse.quote(value), raw.hex()}


def leaks(scene: Scene, text: str) -> list[str]:
    """The names of the canaries that a text contains."""
    return [name for name, value in scene.canaries.items() if any(form in text for form in written(value))]


def everything(scene: Scene) -> dict[str, str]:
    """All objects of the namespace, with managedFields, except Secrets."""
    plane, namespace = scene.place.plane, scene.place.namespace
    kinds = plane.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    assert {"configmaps", "events", "pods", "pytorchjobs.kubeflow.org"} <= set(kinds)
    shown = ("-n", namespace, "--show-managed-fields", "-o", "json")
    return {kind: plane.kubectl("get", kind, *shown) for kind in kinds if kind != "secrets"}


def test_the_search_finds_the_content_of_a_secret(scene: Scene) -> None:
    text = scene.place.plane.kubectl("get", "secret", SECRET, "-n", scene.place.namespace, "-o", "json")
    assert leaks(scene, text) == ["Secret"]


def test_no_object_of_any_kind_holds_a_credential(scene: Scene) -> None:
    found = everything(scene)
    assert SECRET in found["pods"], "the pods use it"
    assert "managedFields" in found["stablediffusionbenchmarks.sdbench.dev"]
    assert {kind: leaks(scene, text) for kind, text in found.items() if leaks(scene, text)} == {}


def test_neither_log_nor_metrics_nor_arguments_hold_a_credential(scene: Scene) -> None:
    operator = scene.place.operator
    arguments = Path(f"/proc/{operator.process.pid}/cmdline").read_text()
    environment = Path(f"/proc/{operator.process.pid}/environ").read_text()
    metrics, log = operator.answer("/metrics")[1], scene.log.read_text()
    assert "sdbench_operator_api_requests_total" in metrics
    assert "bad" in log
    assert "operator" in arguments
    assert [leaks(scene, text) for text in (arguments, environment, metrics, log)] == [[], [], [], []]


def test_the_operator_may_not_read_the_secret(scene: Scene) -> None:
    asking = f"--as=system:serviceaccount:{scene.place.namespace}:sdbench"
    allowed = ("auth", "can-i", "get", f"secrets/{SECRET}", "-n", scene.place.namespace, asking)
    assert scene.place.plane.kubectl(*allowed, check=False).strip() == "no"
