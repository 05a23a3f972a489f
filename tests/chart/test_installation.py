"""Tests that `helm test` distinguishes a working installation from one that does not work.

The script of the pod runs against a real API server with the pod's own account, beside a real operator. There is no
node, so the test writes the Benchmark's status.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chart.support.releases import BENCHMARK, Releases
from chart.support.rendering import NAMESPACE, RELEASE, Helm, Manifest, chart_file, of_kind, pod_spec, the
from harness.control_plane.components import ControlPlane
from harness.polling import until
from harness.ports import free_ports
from sdbench.api.benchmark import Benchmark
from sdbench.api.names import API_VERSION, KIND
from sdbench.core.plan.validate import accepted
from testkit.operators.operator_process import OperatorProcess

ACCOUNT = f"{RELEASE}-test"
TINY = "sdbench-test"
VALUES: dict[str, Any] = {"watchNamespaces": ["team-a"], "test": {"benchmark": True}}
SHORT = 1


class Hook:
    """The command of the pod, pointed at the programs of the test."""

    def __init__(self, plane: ControlPlane, objects: tuple[Manifest, ...]) -> None:
        (container,) = the(objects, "Pod")["spec"]["containers"]
        assert container["command"] == ["python3", "-c"]
        self.script, *self.given = container["args"]
        self._plane, self._account = plane, plane.folder / "account-of-the-test"
        self._account.mkdir(exist_ok=True)
        token = plane.kubectl("create", "token", ACCOUNT, "--namespace", NAMESPACE)
        (self._account / "token").write_text(token)
        (self._account / "ca.crt").write_bytes(plane.authority.certificate.read_bytes())

    def start(self, port: int, *given: str) -> subprocess.Popen[str]:
        """Starts the script as the kubelet would, with the operator at that port."""
        here = ("--operator", f"http://127.0.0.1:{port}", "--server", self._plane.server)
        command = [sys.executable, "-c", self.script, *here, "--account", str(self._account), *given]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def outcome(self, port: int, *given: str) -> tuple[int, str, str]:
        """Exit code, what was found, and what was missing."""
        process = self.start(port, *given)
        found, missing = process.communicate(timeout=120)
        return process.returncode, found, missing.strip()


@pytest.fixture(scope="module")
def hook(helm: Helm, plane: ControlPlane) -> Iterator[Hook]:
    """Installs a release for team-a, and the account and rights that `helm test` would create."""
    releases = Releases(helm, plane)
    releases.install(VALUES)
    objects = helm.render(VALUES)
    mine = [one for one in objects if one["metadata"]["name"] == ACCOUNT and one["kind"] != "Pod"]
    assert [one["kind"] for one in mine] == ["ServiceAccount", "Role", "RoleBinding"]
    plane.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(one) for one in mine))
    yield Hook(plane, objects)
    for one in mine:
        plane.kubectl("delete", one["kind"], ACCOUNT, "--namespace", one["metadata"]["namespace"])
    releases.uninstall()


@pytest.fixture(scope="module")
def bystander(plane: ControlPlane, hook: Hook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator of another namespace, so the test decides what happens to the tiny Benchmark."""
    plane.install_pytorchjob_crd()
    with OperatorProcess(plane.kubeconfig, "team-b", tmp_path_factory.mktemp("bystander") / "operator.log") as running:
        yield running


def timeout(seconds: float) -> tuple[str, ...]:
    return ("--timeout", str(seconds))


def test_a_working_installation_passes_each_check(plane: ControlPlane, hook: Hook, tmp_path: Path) -> None:
    plane.install_pytorchjob_crd()
    kubeconfig = plane.service_account_kubeconfig(NAMESPACE, RELEASE)
    with OperatorProcess(kubeconfig, "team-a", tmp_path / "operator.log") as operator:
        code, found, missing = hook.outcome(operator.port)
    assert (code, missing) == (0, "")
    assert found.splitlines() == [
        "ok: the operator is healthy",
        "ok: the cluster serves stablediffusionbenchmarks",
        "ok: the cluster serves pytorchjobs",
        "ok: the operator lists Benchmarks",
    ]


def test_a_missing_training_operator_fails_the_check(
    plane: ControlPlane, hook: Hook, bystander: OperatorProcess
) -> None:
    plane.kubectl("delete", "crd", "pytorchjobs.kubeflow.org")
    code, _, missing = hook.outcome(bystander.port, *timeout(SHORT))
    plane.install_pytorchjob_crd()
    sentence = "the cluster does not serve pytorchjobs of kubeflow.org/v1: install the Kubeflow training-operator 1.9"
    assert (code, missing) == (1, f"FAILED: {sentence}")


def test_an_operator_that_does_not_answer_fails_the_check(plane: ControlPlane, hook: Hook) -> None:
    (port,) = free_ports(1)
    code, found, missing = hook.outcome(port, *timeout(SHORT))
    assert (code, found) == (1, "")
    assert "Connection refused" in missing


def test_an_operator_without_rights_fails_the_check(plane: ControlPlane, hook: Hook, tmp_path: Path) -> None:
    plane.install_pytorchjob_crd()
    powerless = plane.service_account_kubeconfig(NAMESPACE, "default")
    with OperatorProcess(powerless, "team-a", tmp_path / "operator.log") as running:
        code, _, missing = hook.outcome(running.port, *timeout(SHORT))
    assert (code, missing) == (1, "FAILED: the operator has not listed Benchmarks yet: read its log")


def asked(plane: ControlPlane) -> str:
    """The Benchmark of the test; empty while there is none."""
    return plane.kubectl("get", "sdb", TINY, "--namespace=team-a", "--ignore-not-found", "--output=json")


def answer(plane: ControlPlane, conditions: dict[str, str]) -> None:
    """Writes the status as an operator would."""
    written = [
        {
            "type": kind,
            "status": status,
            "reason": "Test",
            "message": "a message",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, status in conditions.items()
    ]
    patch = json.dumps({"status": {"conditions": written}})
    plane.kubectl("patch", "sdb", TINY, "--namespace=team-a", "--subresource=status", "--type=merge", "-p", patch)


ENDS = {
    "measured": ({"Complete": "True"}, 0, "ok: a tiny Benchmark was measured"),
    "failed": ({"Failed": "True"}, 1, "FAILED: the tiny Benchmark: a message"),
    "refused": ({"Accepted": "False"}, 1, "FAILED: the tiny Benchmark: a message"),
    "silent": ({}, 1, "FAILED: the tiny Benchmark has no result; its phase is Pending"),
}


@pytest.mark.parametrize(("conditions", "code", "sentence"), ENDS.values(), ids=ENDS)
def test_a_tiny_benchmark_is_run_and_deleted_whatever_its_result(
    plane: ControlPlane,
    hook: Hook,
    bystander: OperatorProcess,
    conditions: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    assert hook.given[2:] == ["--benchmark", f"team-a/{TINY}", "--seconds", "900"]
    seconds = "900" if conditions else str(SHORT)
    process = hook.start(bystander.port, *hook.given[2:-1], seconds)
    if conditions:
        until(lambda: bool(asked(plane)), 60, "the tiny Benchmark")
        assert len(accepted(Benchmark.model_validate(json.loads(asked(plane))))) == 1
        answer(plane, conditions)
    found, missing = process.communicate(timeout=60)
    assert (process.returncode, sentence in found + missing) == (code, True), found + missing
    assert asked(plane) == ""


def test_an_interrupted_test_leaves_no_benchmark(plane: ControlPlane, hook: Hook, bystander: OperatorProcess) -> None:
    process = hook.start(bystander.port, *hook.given[2:])
    until(lambda: bool(asked(plane)), 60, "the tiny Benchmark")
    process.terminate()
    process.communicate(timeout=60)
    assert asked(plane) == ""


def test_an_existing_benchmark_of_that_name_is_not_deleted(
    plane: ControlPlane, hook: Hook, bystander: OperatorProcess
) -> None:
    mine = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": TINY, "namespace": "team-a"}}
    plane.kubectl("create", "-f", "-", input=json.dumps(mine | {"spec": BENCHMARK["spec"]}))
    code, _, missing = hook.outcome(bystander.port, *hook.given[2:])
    assert (code, missing) == (1, f"FAILED: the Benchmark team-a/{TINY} already exists: delete it, then test again")
    assert asked(plane) != ""
    plane.kubectl("delete", "sdb", TINY, "--namespace=team-a")


def test_a_refused_benchmark_fails_with_the_api_servers_message(
    plane: ControlPlane, hook: Hook, bystander: OperatorProcess
) -> None:
    code, _, missing = hook.outcome(bystander.port, "--benchmark", "team-b/sdbench-test")
    assert code == 1
    assert missing.startswith(
        "FAILED: the API server refused the tiny Benchmark: stablediffusionbenchmarks.sdbench.dev is forbidden"
    )


def test_a_policy_that_requires_a_limit_admits_the_tiny_benchmark(
    helm: Helm, plane: ControlPlane, hook: Hook, bystander: OperatorProcess
) -> None:
    strict = {"policies": {"enabled": True, "default": {"maxDevices": 1, "deviceHours": "0.5"}}}
    objects = [one for one in helm.render(strict) if one["kind"].startswith("ValidatingAdmissionPolicy")]
    plane.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(one) for one in objects))
    judged = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": TINY, "namespace": "team-a"}}
    unlimited = json.dumps(judged | {"spec": BENCHMARK["spec"]})
    dry = ("create", "--dry-run=server", "-f", "-")
    until(
        lambda: not plane.kubectl(*dry, input=unlimited, check=False),
        60,
        "the policy to refuse a Benchmark without a limit",
    )
    process = hook.start(bystander.port, *hook.given[2:])
    until(lambda: bool(asked(plane)), 60, "the tiny Benchmark")
    process.terminate()
    process.communicate(timeout=60)
    for one in objects:
        plane.kubectl("delete", one["kind"], one["metadata"]["name"])


def test_without_a_benchmark_the_test_has_no_rights(helm: Helm) -> None:
    objects = helm.render()
    assert "--benchmark" not in the(objects, "Pod")["spec"]["containers"][0]["args"]
    subjects = [one for binding in of_kind(objects, "ClusterRoleBinding", "RoleBinding") for one in binding["subjects"]]
    assert ACCOUNT not in [one["name"] for one in subjects]


def test_the_pod_uses_the_operators_service(helm: Helm) -> None:
    objects = helm.render()
    service, (container,) = the(objects, "Service"), the(objects, "Pod")["spec"]["containers"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    port = service["spec"]["ports"][0]["port"]
    assert container["args"][1:] == ["--operator", f"http://{name}.{namespace}.svc:{port}"]
    assert container["image"] == pod_spec(objects)["containers"][0]["image"]


def test_the_kubelet_expands_nothing_in_the_script(helm: Helm) -> None:
    (container,) = the(helm.render(), "Pod")["spec"]["containers"]
    assert "$(" not in container["args"][0]
    assert container["args"][0].strip() == chart_file("files/installation.py").strip()
