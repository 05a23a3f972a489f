"""Tests budgets, retention and the ttl against the real API server and its garbage collector."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, account, condition
from testkit.server.examples import CreateBenchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

ONE = {"counts": [1], "perPod": 1, "hourlyPrice": "3600"}
"""A device-second costs 1."""


@pytest.fixture(scope="module")
def operator(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator of the whole cluster."""
    kubeconfig = account(plane, create_namespace(plane), everywhere=True)
    with OperatorProcess(kubeconfig, None, tmp_path_factory.mktemp("bounds") / "log") as operator:
        yield operator
        assert "a bug in this version" not in operator.log_tail()


@pytest.fixture
def place(plane: ControlPlane, namespace: str, operator: OperatorProcess) -> OperatorNamespace:
    return OperatorNamespace(plane, namespace, operator)


def hanging(run: RunConfig, index: int) -> End | None:
    return None


def failing(run: RunConfig, index: int) -> End | None:
    return End(67, "", "Error")


def failing_on_one_device(run: RunConfig, index: int) -> End | None:
    return failing(run, index) if run.devices == 1 else measured(run, index)


def changed(place: OperatorNamespace, **spec: Any) -> None:
    patch = json.dumps({"spec": spec})
    place.plane.kubectl("patch", "sdb", "tiny", "-n", place.namespace, "--type=merge", "-p", patch)


def test_a_running_attempt_is_stopped_when_its_budget_is_spent(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    with Player(place.plane.kubeconfig, place.namespace, hanging):
        create_benchmark(devices=ONE, limits={"cost": "6"}, repeats={"min": 3})
        answer = place.wait_for("Failed")
        status = place.wait_for("CleanedUp")["status"]
        until(lambda: not place.names("pytorchjobs") and not place.names("pods"), SECONDS, "jobs and pods to go")
    assert condition(answer, "Failed")["reason"] == "BudgetExceeded"
    assert [row["reason"] for row in status["trials"]] == ["BudgetExceeded"] * 3
    assert "limits.cost, is used up" in status["trials"][0]["message"]
    assert 6 <= float(status["spentCost"]) <= 30, "no more than the stop and the teardown take"
    assert place.reasons().count("BudgetExceeded") == 2, "the attempt that was stopped, and the trials never tried"


def test_by_default_the_job_of_a_failed_attempt_is_kept_while_its_devices_are_free(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    with Player(place.plane.kubeconfig, place.namespace, failing_on_one_device):
        create_benchmark(devices=ONE | {"counts": [1, 2]}, retention={})
        status = place.wait_for("CleanedUp")["status"]
        kept = status["trials"][0]["job"]
        until(lambda: place.names("pytorchjobs") == [kept], SECONDS, "the job of the measured attempt to go")
        until(lambda: place.names("pods") == [f"{kept}-master-0"], SECONDS, "its pods to go")
        assert [row["reason"] for row in status["trials"]] == ["OutOfMemoryDevice", "Measured"], "beside what is kept"
        assert place.benchmark()["spec"]["retention"] == {"failedSeconds": 3600}
        before = place.benchmark()["status"]
        changed(place, retention={"failedSeconds": 0})
        until(lambda: not place.names("pytorchjobs") and not place.names("pods"), SECONDS, "what was kept to go")
    after = place.benchmark()["status"]
    assert after["trials"] == before["trials"]
    assert condition({"status": after}, "CleanedUp") | {"observedGeneration": 1} == condition(
        {"status": before}, "CleanedUp"
    )


def test_a_finished_benchmark_deletes_itself_and_its_kept_jobs(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    with Player(place.plane.kubeconfig, place.namespace, failing):
        create_benchmark(devices=ONE, retention={}, ttlSecondsAfterFinished=2)
        until(lambda: not place.names("sdb"), SECONDS, "the benchmark to delete itself")
        assert place.names("pytorchjobs") == []
        until(lambda: not place.names("pods"), SECONDS, "its pods to be collected")
    assert "CleanedUp" in place.reasons()
