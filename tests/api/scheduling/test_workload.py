"""Tests that the pods get the administrator's Workload as it was at acceptance."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench.core.attempt.blockers import MISSING_ACCOUNT
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import OperatorProcess
from testkit.server.client import BenchmarkClient
from testkit.server.examples import CreateBenchmark

pytest_plugins = ["testkit.server.fixtures"]

SITE = {
    "serviceAccountName": "trainer",
    "imagePullSecrets": ["registry"],
    "proxy": {"https": "http://proxy.example:3128"},
    "caBundle": {"configMap": "site-ca", "key": "ca.crt"},
}
LATER = {"serviceAccountName": "nobody", "proxy": {"https": "http://other.example:3128"}}


class Administrator:
    """Starts operators of one namespace, each with the Workload of that time."""

    def __init__(self, plane: ControlPlane, namespace: str, kubeconfig: Path, folder: Path) -> None:
        self._plane, self._namespace, self._kubeconfig, self._folder = plane, namespace, kubeconfig, folder

    def operator(self, workload: dict[str, Any]) -> OperatorProcess:
        file = self._folder / "workload.json"
        file.write_text(json.dumps(workload))
        return OperatorProcess(self._kubeconfig, self._namespace, self._folder / "log", "--workload", str(file))

    def place(self, operator: OperatorProcess) -> OperatorNamespace:
        return OperatorNamespace(self._plane, self._namespace, operator)


@pytest.fixture
def administrator(plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path) -> Administrator:
    return Administrator(plane, namespace, kubeconfig, tmp_path)


def pods(place: OperatorNamespace) -> dict[str, dict[str, Any]]:
    """The pod template of each job, by the job's name."""
    jobs = json.loads(place.plane.kubectl("get", "pytorchjobs", "-n", place.namespace, "-o", "json"))["items"]
    roles = {job["metadata"]["name"]: job["spec"]["pytorchReplicaSpecs"]["Master"] for job in jobs}
    return {name: role["template"]["spec"] for name, role in roles.items()}


def proxy(pod: dict[str, Any]) -> str:
    (value,) = (one["value"] for one in pod["containers"][0]["env"] if one["name"] == "https_proxy")
    return str(value)


def test_trials_that_start_after_an_upgrade_use_what_was_pinned(
    administrator: Administrator, create_benchmark: CreateBenchmark, plane: ControlPlane, namespace: str
) -> None:
    plane.kubectl("create", "serviceaccount", "trainer", "-n", namespace)
    over = False

    def until_released(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if over else None

    with Player(plane.kubeconfig, namespace, until_released) as player:
        with administrator.operator(SITE) as operator:
            place = administrator.place(operator)
            create_benchmark(repeats={"min": 2}, devices={"counts": [1], "perPod": 1})
            first = place.first_job()
            assert place.benchmark()["status"]["resolved"]["workload"] == SITE
            until(lambda: bool(player.pods), SECONDS, "the pod, which the real API server admits")
        with administrator.operator(LATER) as operator:
            place = administrator.place(operator)
            over = True
            second = until(lambda: _second(pods(place), first), SECONDS, "the job of the second trial")
            answer = place.wait_for("CleanedUp")
    assert (second["serviceAccountName"], proxy(second)) == ("trainer", "http://proxy.example:3128")
    assert second["imagePullSecrets"] == [{"name": "registry"}]
    assert answer["status"]["resolved"]["workload"] == SITE
    assert [row["phase"] for row in answer["status"]["trials"]] == ["Succeeded"] * 2


def _second(found: dict[str, dict[str, Any]], first: str) -> dict[str, Any] | None:
    return next((pod for name, pod in found.items() if name != first), None)


@pytest.mark.parametrize(("account", "missing"), [("trainer", "trainer"), ("default", None)])
def test_the_api_server_names_an_account_that_a_pod_lacks(
    plane: ControlPlane, namespace: str, account: str, missing: str | None
) -> None:
    container = {"name": "x", "image": "x"}
    spec = {"serviceAccountName": account, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": namespace}, "spec": spec}
    answer = BenchmarkClient(plane.kubeconfig, namespace).create_pod(pod)
    said = MISSING_ACCOUNT.search(answer.message)
    assert (said[1] if said else None) == missing
