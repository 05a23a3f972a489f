"""Tests that the administrator's options on the command line reach the jobs."""

from collections.abc import Iterator

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, account, condition, read
from testkit.server.examples import CreateBenchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

OPTIONS = ("--max-devices", "1", "--max-device-hours", "0.5", "--max-concurrent-trials", "1")
ONE = {"counts": [1], "perPod": 1}
NAMES = ("first", "second", "third")


@pytest.fixture(scope="module")
def namespace(plane: ControlPlane) -> str:
    """A namespace for all tests, because an operator takes seconds to start."""
    return create_namespace(plane)


@pytest.fixture(scope="module")
def place(plane: ControlPlane, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorNamespace]:
    """A namespace with an operator that has all three bounds."""
    log = tmp_path_factory.mktemp("administration") / "log"
    with OperatorProcess(account(plane, namespace), namespace, log, *OPTIONS) as operator:
        yield OperatorNamespace(plane, namespace, operator)


def waiting(place: OperatorNamespace) -> bool:
    """Whether all but one Benchmark wait for the others."""
    found = read(place.plane, place.namespace, "sdb")["items"]
    reasons = [condition(one, "Running").get("reason") for one in found]
    return sorted(reasons, key=str) == ["TrialsRunning", *["WaitsForOtherBenchmarks"] * (len(NAMES) - 1)]


def test_trials_of_all_benchmarks_run_one_after_the_other(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    over = False

    def until_all_wait(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if over else None

    with Player(place.plane.kubeconfig, place.namespace, until_all_wait):
        for name in NAMES:
            create_benchmark(name, devices=ONE, parallelism=2, repeats={"min": 2})
        until(lambda: waiting(place), SECONDS, "one to run and the others to wait")
        assert len(place.names("pytorchjobs")) == 1
        over = True
        answers = [place.wait_for("CleanedUp", name) for name in NAMES]
    assert [row["phase"] for answer in answers for row in answer["status"]["trials"]] == ["Succeeded"] * 6


@pytest.mark.parametrize(
    ("name", "devices", "window", "bound"),
    [
        ("wide", {"counts": [1, 2], "perPod": 1}, {}, "more than"),
        ("long", ONE, {"warmupSeconds": 3600}, "device-hours"),
    ],
)
def test_a_benchmark_beyond_a_bound_is_refused_with_a_message(
    place: OperatorNamespace,
    create_benchmark: CreateBenchmark,
    name: str,
    devices: dict[str, object],
    window: dict[str, int],
    bound: str,
) -> None:
    trainer = {"model": "tiny", "precision": "fp32", "imageSize": 64, "globalBatchSize": 8, "window": window}
    create_benchmark(name, devices=devices, trainer=trainer)
    accepted = condition(place.wait_for("Failed", name), "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "PlanRefused")
    assert bound in accepted["message"]
    assert "administrator" in accepted["message"]
