"""Tests that an operator recovers in time from a long API server outage, and with a thousand waiting Benchmarks."""

import time
from pathlib import Path

from harness.control_plane.components import ControlPlane
from harness.polling import until
from long.results import Results
from testkit.faults.outage import CONVERGED_SECONDS, recovery_after_an_outage
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, condition
from testkit.server.crowd import Crowd
from testkit.server.examples import CreateBenchmark, example_benchmark
from testkit.server.namespaces import create_namespace

TABLE = "Outages and restarts"
OUTAGE_SECONDS = 300
MANY, LOOK_SECONDS = 1_000, 30
PACE_SECONDS = 1.0
ONE_DEVICE = example_benchmark()["spec"]["devices"] | {"counts": [1]}


def test_the_operator_recovers_within_a_minute_from_five_minutes_without_an_api_server(
    plane: ControlPlane,
    namespace: str,
    kubeconfig: Path,
    create_benchmark: CreateBenchmark,
    tmp_path: Path,
    results: Results,
) -> None:
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        taken = recovery_after_an_outage(
            OperatorNamespace(plane, namespace, operator), create_benchmark, OUTAGE_SECONDS
        )
    results.add(TABLE, "what", what=f"{OUTAGE_SECONDS} s without an API server", recovered_after_seconds=round(taken))
    create_namespace(plane)  # The controllers need time, too: the next test must find them working.
    assert taken <= CONVERGED_SECONDS


def test_every_one_of_a_thousand_waiting_benchmarks_has_a_pass_soon_after_a_restart(
    plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path, results: Results
) -> None:
    crowd = Crowd(plane, namespace)
    crowd.create([f"waits-{number}" for number in range(MANY)], devices=ONE_DEVICE, suspend=True)
    with OperatorProcess(kubeconfig, namespace, tmp_path / "first"):
        until(lambda: suspended(crowd) == MANY, 10 * LOOK_SECONDS, "the first pass over all")
    with OperatorProcess(kubeconfig, namespace, tmp_path / "second") as operator:
        started = time.monotonic()
        until(lambda: passes(operator) >= MANY, LOOK_SECONDS, "a pass over each")
        taken = time.monotonic() - started
    results.add(TABLE, "what", what=f"restart with {MANY} waiting Benchmarks", recovered_after_seconds=round(taken))


def suspended(crowd: Crowd) -> int:
    """The number of suspended Benchmarks. The statuses are megabytes, so it waits before it reads them."""
    time.sleep(PACE_SECONDS)
    answers = ({"status": one} for one in crowd.statuses().values())
    return sum(condition(answer, "Suspended").get("status") == "True" for answer in answers)


def passes(operator: OperatorProcess) -> float:
    """The number of finished passes. The metrics are a megabyte, which slows the operator, so it waits first."""
    time.sleep(PACE_SECONDS)
    lines = operator.answer("/metrics")[1].splitlines()
    counts = [line for line in lines if line.startswith("sdbench_operator_reconcile_duration_seconds_count ")]
    return float(counts[0].split()[1]) if counts else 0.0
