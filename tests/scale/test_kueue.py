"""Tests a Benchmark under Kueue: admitted, kept waiting, timed out, and preempted.

Kueue is real and owns `suspend`; the operator may not write to a job at all.
"""

from datetime import datetime
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from scale import seed
from scale.benchmarks import Row, StoredBenchmark, create, example
from scale.pod_finisher import AttemptId, PodFinisher
from scale.queues import drain, make_priorities, make_queue, open_again
from testkit.operators.operator_process import OperatorProcess
from testkit.server.accounts import ACCOUNT

EIGHT = {"counts": [8], "perPod": 8, "resource": "nvidia.com/gpu", "perDevice": {"cpu": "8", "memory": "64Gi"}}


@pytest.fixture
def queue(plane: ControlPlane, namespace: str) -> str:
    """A queue with devices for one Attempt."""
    make_priorities(plane)
    return make_queue(plane, namespace, devices=8)


def queued(name: str, queue: str, priority: str = "normal", **spec: Any) -> dict[str, Any]:
    """A Benchmark with one Attempt on eight devices, for the queue."""
    scheduling = {"queueName": queue, "priorityClassName": priority}
    return example(name, devices=EIGHT, gate=None, scheduling=scheduling, **spec)


@pytest.mark.usefixtures("operator")
def test_the_operator_may_not_write_to_a_job(plane: ControlPlane, home: str, namespace: str) -> None:
    who = f"system:serviceaccount:{home}:{ACCOUNT}"
    for verb in ("patch", "update"):
        question = ("auth", "can-i", verb, "pytorchjobs.kubeflow.org", "-n", namespace, "--as", who)
        assert plane.kubectl(*question, check=False).strip() == "no"


def test_one_is_measured_while_one_waits_and_one_times_out(
    plane: ControlPlane, namespace: str, operator: OperatorProcess, queue: str
) -> None:
    first, second, hasty = (StoredBenchmark(plane, namespace, name, operator) for name in ("first", "second", "hasty"))
    with PodFinisher(plane.kubeconfig, namespace, seed.RATES, {AttemptId("first", 0)}) as finisher:
        create(plane, namespace, queued("first", queue))
        first.wait_for_row(0, "to be admitted", lambda row: row["phase"] == "Running")
        create(plane, namespace, queued("second", queue))
        create(plane, namespace, queued("hasty", queue, limits={"queuedSeconds": 10}))
        waits = second.wait_for_row(0, "to wait", lambda row: "queue devices" in row["message"])
        given_up = hasty.wait_for("Failed")
        assert_waiting_costs_no_device_time(second)
        finisher.finish(AttemptId("first", 0))
        measured, later = first.wait_for("CleanedUp"), second.wait_for("CleanedUp")
    assert_not_admitted(given_up["trials"][0])
    assert waits["phase"] == "Starting"
    assert [(row["phase"], row["attempt"], row["failures"]) for row in measured["trials"] + later["trials"]] == [
        ("Succeeded", 1, 0),
        ("Succeeded", 1, 0),
    ]
    assert_it_waited_for_the_other(measured["trials"][0], later)
    assert not [name for name in finisher.created() if name.startswith("hasty")]
    for benchmark in (first, second, hasty):
        benchmark.wait_until_nothing_is_left()


def assert_waiting_costs_no_device_time(benchmark: StoredBenchmark) -> None:
    status = benchmark.status()
    (row,) = status["trials"]
    assert "scheduledAt" not in row
    assert "startedAt" not in row
    assert status["spentDeviceSeconds"] == 0
    assert not [name for name in benchmark.names("pods") if name.startswith(row["job"])]


def assert_not_admitted(row: Row) -> None:
    assert (row["phase"], row["reason"], row["scope"]) == ("Failed", "NotAdmitted", "Point")
    assert "queue devices" in row["message"]
    assert "queuedSeconds" in row["message"]
    assert "scheduledAt" not in row


def assert_it_waited_for_the_other(other: Row, status: dict[str, Any]) -> None:
    """Checks that the Trial was scheduled after the other was measured, and costs device time only from then on."""
    (row,) = status["trials"]
    queued_at, scheduled, released = (moment(row[key]) for key in ("queuedAt", "scheduledAt", "releasedAt"))
    assert queued_at < moment(other["measuredAt"]) <= scheduled
    assert status["spentDeviceSeconds"] == (released - scheduled).total_seconds() * 8


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_preempted_attempt_is_void_and_not_counted_and_the_next_is_measured(
    plane: ControlPlane, namespace: str, operator: OperatorProcess, queue: str
) -> None:
    ordinary, urgent = (StoredBenchmark(plane, namespace, name, operator) for name in ("ordinary", "urgent"))
    with PodFinisher(
        plane.kubeconfig, namespace, seed.RATES, {AttemptId("ordinary", 0), AttemptId("urgent", 0)}
    ) as finisher:
        create(plane, namespace, queued("ordinary", queue))
        before = ordinary.wait_for_row(0, "to run", lambda row: row["phase"] == "Running")
        create(plane, namespace, queued("urgent", queue, "urgent"))
        void = ordinary.wait_for_row(0, "to be preempted", lambda row: row.get("reason") == "Preempted")
        urgent.wait_for_row(0, "to run", lambda row: row["phase"] == "Running")
        again = ordinary.wait_for_row(0, "to wait again", lambda row: row["attempt"] == 2 and row["message"])
        assert {name.rsplit("-master-0")[0] for name in ordinary.names("pods")} == {urgent.row(0)["job"]}
        finisher.finish(AttemptId("urgent", 0))
        measured, later = urgent.wait_for("CleanedUp"), ordinary.wait_for("CleanedUp")
    assert (void["failures"], "measurement" in void) == (0, False)
    assert "queue devices" in again["message"]
    assert [(row["phase"], row["attempt"], row["failures"]) for row in measured["trials"] + later["trials"]] == [
        ("Succeeded", 1, 0),
        ("Succeeded", 2, 0),
    ]
    assert before["jobUID"] != later["trials"][0]["jobUID"]
    assert set(ordinary.warnings()) == {"Preempted"}
    assert urgent.warnings() == {}
    assert_the_first_was_gone_before_the_second(finisher, before["job"], later["trials"][0]["job"])
    for benchmark in (ordinary, urgent):
        benchmark.wait_until_nothing_is_left()


def test_an_attempt_whose_queue_is_drained_is_restarted_when_the_queue_opens_again(
    plane: ControlPlane, namespace: str, operator: OperatorProcess, queue: str
) -> None:
    benchmark = StoredBenchmark(plane, namespace, "drained", operator)
    with PodFinisher(plane.kubeconfig, namespace, seed.RATES, {AttemptId("drained", 0)}) as finisher:
        create(plane, namespace, queued("drained", queue))
        before = benchmark.wait_for_row(0, "to run", lambda row: row["phase"] == "Running")
        drain(plane, namespace)
        waits = benchmark.wait_for_row(0, "to wait again", lambda row: row["attempt"] == 2 and row["message"])
        open_again(plane, namespace)
        (row,) = benchmark.wait_for("CleanedUp")["trials"]
    assert "queue devices" in waits["message"]
    assert "scheduledAt" not in waits
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, 0)
    assert set(benchmark.warnings()) == {"Preempted"}
    assert_the_first_was_gone_before_the_second(finisher, before["job"], row["job"])
    benchmark.wait_until_nothing_is_left()


def assert_the_first_was_gone_before_the_second(finisher: PodFinisher, first: str, second: str) -> None:
    """Checks that the void Attempt's devices were free before the next Attempt."""
    gone, come = ("DELETED", f"{first}-master-0"), ("ADDED", f"{second}-master-0")
    assert finisher.history.index(gone) < finisher.history.index(come)
