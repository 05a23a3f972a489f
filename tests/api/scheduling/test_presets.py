"""Tests that the pods get a preset as it was at acceptance."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, condition
from testkit.server.examples import CreateBenchmark

pytest_plugins = ["testkit.server.fixtures"]

RDMA = {"environment": {"NCCL_IB_HCA": "mlx5_0", "NCCL_NOTE": "$(HOME)"}, "resources": {"rdma/hca": "1"}}
OTHER = {"environment": {"NCCL_IB_HCA": "mlx5_9"}}


class Administrator:
    """Starts operators of one namespace, each with the presets of that time."""

    def __init__(self, plane: ControlPlane, namespace: str, kubeconfig: Path, folder: Path) -> None:
        self._plane, self._namespace, self._kubeconfig, self._folder = plane, namespace, kubeconfig, folder

    def operator(self, presets: dict[str, Any]) -> OperatorProcess:
        file = self._folder / "presets.json"
        file.write_text(json.dumps(presets))
        return OperatorProcess(self._kubeconfig, self._namespace, self._folder / "log", "--presets", str(file))

    def place(self, operator: OperatorProcess) -> OperatorNamespace:
        return OperatorNamespace(self._plane, self._namespace, operator)


@pytest.fixture
def administrator(plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path) -> Administrator:
    return Administrator(plane, namespace, kubeconfig, tmp_path)


def environments(place: OperatorNamespace) -> dict[str, dict[str, str]]:
    """The environment of each job's containers, by the job's name."""
    jobs = json.loads(place.plane.kubectl("get", "pytorchjobs", "-n", place.namespace, "-o", "json"))["items"]
    return {job["metadata"]["name"]: _environment(job) for job in jobs}


def _environment(job: dict[str, Any]) -> dict[str, str]:
    (container,) = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_trials_that_start_after_an_upgrade_use_what_was_pinned(
    administrator: Administrator, create_benchmark: CreateBenchmark, plane: ControlPlane, namespace: str
) -> None:
    over = False

    def until_released(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if over else None

    with Player(plane.kubeconfig, namespace, until_released):
        with administrator.operator({"rdma": RDMA}) as operator:
            place = administrator.place(operator)
            create_benchmark(scheduling={"preset": "rdma"})
            first = place.first_job()
            assert place.benchmark()["status"]["resolved"]["preset"] == RDMA | {"annotations": {}}
            assert environments(place)[first]["NCCL_NOTE"] == "$$(HOME)"
        with administrator.operator({"rdma": OTHER}) as operator:
            place = administrator.place(operator)
            over = True
            found = until(lambda: _second(environments(place), first), SECONDS, "the job of the second trial")
            assert found["NCCL_IB_HCA"] == "mlx5_0"
            place.wait_for("CleanedUp")


def _second(environments: dict[str, dict[str, str]], first: str) -> dict[str, str] | None:
    return next((found for name, found in environments.items() if name != first), None)


def test_an_unknown_preset_is_refused_until_the_administrator_defines_it(
    administrator: Administrator, create_benchmark: CreateBenchmark, plane: ControlPlane, namespace: str
) -> None:
    with Player(plane.kubeconfig, namespace):
        with administrator.operator({"plain": {}}) as operator:
            place = administrator.place(operator)
            create_benchmark(scheduling={"preset": "rdma"})
            refused = condition(place.wait_for("Failed"), "Accepted")
            assert (refused["status"], refused["reason"]) == ("False", "PlanRefused")
            assert refused["message"] == "spec.scheduling.preset: no preset rdma; there are: plain"
            assert place.names("pytorchjobs") == []
        with administrator.operator({"rdma": RDMA}) as operator:
            administrator.place(operator).wait_for("Complete")
