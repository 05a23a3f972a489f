"""Tests that an idle operator is silent, and how soon a new one has seen everything.

The silence of two minutes begins with the first test that asks for it, and its end is awaited last.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.faults.silence import ONE_DEVICE, SILENCE_SECONDS, IdleOperator
from testkit.operators.operator_process import OperatorProcess, condition, read
from testkit.server.audit_log import AuditedControlPlane
from testkit.server.crowd import Crowd

pytest_plugins = ["testkit.server.fixtures"]

MANY = 1_000
LOOK_SECONDS = 30
START_SECONDS = 300
PACE_SECONDS = 1.0


@pytest.fixture(scope="session")
def plane(audited_plane: AuditedControlPlane) -> ControlPlane:
    """The control plane that keeps an audit log."""
    return audited_plane.plane


def test_a_thousand_benchmarks_get_a_pass_soon_after_a_start(
    silence: IdleOperator, plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path
) -> None:
    crowd, waiting = Crowd(plane, namespace), MANY // 10
    done = silence.place.benchmark("done-0")
    crowd.create_finished([f"done-{number}" for number in range(MANY - waiting)], done, devices=ONE_DEVICE)
    crowd.create([f"waits-{number}" for number in range(waiting)], devices=ONE_DEVICE, suspend=True)
    started = time.monotonic()
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        until(lambda: passed_over(crowd) == waiting, START_SECONDS, "a pass over all that may still change")
        until(lambda: shown(operator) == MANY, START_SECONDS, "all in the metrics")
        taken, queued = time.monotonic() - started, seconds_in_the_run_queue(operator.process.pid)
        assert operator.answer("/healthz")[0] == 200
    assert taken - queued <= LOOK_SECONDS, f"{taken:.0f} s, {queued:.0f} of them without a core of the machine"


def seconds_in_the_run_queue(process: int) -> float:
    """Seconds that its main thread was runnable while other threads of this machine ran: proc(5), schedstat."""
    _, waited, _ = Path(f"/proc/{process}/schedstat").read_text().split()
    return int(waited) / 1e9


def shown(operator: OperatorProcess) -> int:
    """The number of Benchmarks in the metrics. They take a megabyte and cost the operator time, so ask rarely."""
    time.sleep(PACE_SECONDS)
    lines = operator.answer("/metrics")[1].splitlines()
    return sum(line.startswith("sdbench_benchmark_spent_device_seconds_total{") for line in lines)


def passed_over(crowd: Crowd) -> int:
    """The number of waiting Benchmarks whose status says that they wait."""
    time.sleep(PACE_SECONDS)
    statuses = crowd.statuses("waits").values()
    return sum(condition({"status": one}, "Suspended").get("status") == "True" for one in statuses)


def test_an_operator_with_nothing_to_do_writes_nothing(silence: IdleOperator) -> None:
    until(lambda: time.monotonic() >= silence.end, SILENCE_SECONDS + 1, "two minutes to pass")
    asked = [one for one in silence.audited.requests_of(silence.place.namespace) if one.at >= silence.since]
    assert [one for one in asked if one.writes] == []
    # The operator ran, listed the Benchmarks, and logged it.
    assert {one.resource for one in asked if one.verb == "list"} >= {"stablediffusionbenchmarks", "pytorchjobs", "pods"}
    assert events_since(silence) == []
    assert silence.place.operator.answer("/healthz")[0] == 200


def events_since(silence: IdleOperator) -> list[dict[str, Any]]:
    """The Events that were created since the silence began."""
    events = read(silence.place.plane, silence.place.namespace, "events")["items"]
    begin = silence.since.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [one for one in events if one["metadata"]["creationTimestamp"] > begin]
