"""Tests that an operator keeps the parts of a newer version's answer that it does not know."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench.api.names import PLURAL
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import OperatorProcess
from testkit.server.audit_log import CRD, install_crd
from testkit.server.examples import CreateBenchmark, example_benchmark

pytest_plugins = ["testkit.server.fixtures"]

NEWER_PHASE, NEWER_FIELD = "Paused", "fromTheFuture"
ONE_DEVICE = example_benchmark()["spec"]["devices"] | {"counts": [1]}


def newer_crd() -> dict[str, Any]:
    """Our CRD with one more phase and one more field of a row."""
    crd: dict[str, Any] = yaml.safe_load(CRD.read_text())
    (version,) = crd["spec"]["versions"]
    row = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["trials"]["items"]["properties"]
    row["phase"]["enum"].append(NEWER_PHASE)
    row[NEWER_FIELD] = {"type": "string"}
    return crd


@pytest.fixture(scope="module", autouse=True)
def newer_version(plane: ControlPlane) -> Iterator[None]:
    """A control plane that still has the newer CRD."""
    plane.kubectl("apply", "-f", "-", input=json.dumps(newer_crd()))
    yield
    install_crd(plane)


@pytest.fixture
def place(plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorNamespace]:
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        yield OperatorNamespace(plane, namespace, operator)


def change_first_row(place: OperatorNamespace, name: str, **changes: Any) -> None:
    """Replaces the status, as the newer operator would, once the API server serves the newer CRD."""

    def kept() -> bool:
        document = place.benchmark(name)
        document["status"]["trials"][0] |= changes
        path = f"/apis/sdbench.dev/v1alpha1/namespaces/{place.namespace}/{PLURAL}/{name}/status"
        place.plane.kubectl("replace", "--raw", path, "-f", "-", input=json.dumps(document), check=False)
        row = place.benchmark(name)["status"]["trials"][0]
        return bool(row | changes == row)

    until(kept, SECONDS, "the newer status")


def test_a_field_of_a_newer_version_is_kept_to_the_end(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    goes_on = threading.Event()

    def script(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if goes_on.is_set() else None

    with Player(place.plane.kubeconfig, place.namespace, script):
        create_benchmark(devices=ONE_DEVICE)
        until(lambda: first_row(place, "tiny").get("phase") == "Running", SECONDS, "it to run")
        change_first_row(place, "tiny", fromTheFuture="kept")
        goes_on.set()
        place.wait_for("CleanedUp")
    assert first_row(place, "tiny")[NEWER_FIELD] == "kept"
    assert first_row(place, "tiny")["phase"] == "Succeeded"


def test_an_unreadable_benchmark_is_left_alone_reported_once_and_resumed_later(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    log = place.operator
    with Player(place.plane.kubeconfig, place.namespace) as player:
        create_benchmark("newer", devices=ONE_DEVICE, suspend=True)
        place.wait_for("Suspended", "newer")
        change_first_row(place, "newer", phase=NEWER_PHASE)
        until(lambda: "Unreadable" in place.reasons(), SECONDS, "the Event")
        left = place.benchmark("newer")
        create_benchmark("other", devices=ONE_DEVICE)
        place.wait_for("CleanedUp", "other")
        assert place.benchmark("newer") == left
        assert place.reasons().count("Unreadable") == 1
        assert log.log_tail().count("newer is left alone") == 1
        assert log.answer("/healthz")[0] == 200
        change_first_row(place, "newer", phase="Pending")
        resume = ("patch", "sdb", "newer", "-n", place.namespace, "--type=merge", "-p", '{"spec": {"suspend": false}}')
        place.plane.kubectl(*resume)
        place.wait_for("CleanedUp", "newer")
    assert len(player.jobs) == 2


def first_row(place: OperatorNamespace, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = place.benchmark(name).get("status", {}).get("trials", [])
    return rows[0] if rows else {}
