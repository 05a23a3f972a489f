"""Tests Benchmarks whose jobs a queue holds, admits and preempts: waiting is not a failure."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, Decision, PodState, Snapshot
from unit.core.worlds import after, attempt, benchmark, exited, failure, pod, report, snapshot, spec

NAME = "tiny-0a1b2-0-1"
TWO_PODS = {"counts": [2], "perPod": 1}
DAY = 86_400


def held(*pods: PodState, **changes: Any) -> AttemptState:
    return attempt(*pods, planned=2, suspended=True, queue="lab", **changes)


def killed(index: int) -> PodState:
    return exited(index, 143, of=failure(NAME, 143, "Stopped by SIGTERM.", rank=index))


def waiting() -> tuple[Decision, Snapshot]:
    """Its job was created, and Kueue's webhook suspended it in the same instant."""
    at = snapshot(benchmark(spec(devices=TWO_PODS)))
    at = after(decide(at), at, held())
    return decide(at), at


def test_waiting_for_admission_is_told_once_and_then_silent_until_its_deadline() -> None:
    made, at = waiting()
    (row,) = made.status.trials
    assert (row.phase, row.ended_at, row.failures) == (TrialPhase.STARTING, None, 0)
    assert row.message.startswith("Waits for admission by queue lab; raise the queue's quota")
    at = after(made, at, held(), seconds=3_600)
    assert decide(at).status == at.benchmark.status
    assert decide(at).requeue_after == timedelta(seconds=DAY - 3_600)
    (row,) = decide(replace(at, now=at.now + timedelta(seconds=DAY - 3_600))).status.trials
    assert (row.phase, row.reason) == (TrialPhase.FAILED, Reason.NOT_ADMITTED)
    assert "limits.queuedSeconds, 86400 s, is over" in row.message


def test_once_admitted_it_runs_and_is_measured() -> None:
    made, at = waiting()
    at = after(made, at, attempt(pod(0), pod(1)), seconds=5)
    made = decide(at)
    assert (made.status.trials[0].phase, made.status.trials[0].message) == (TrialPhase.RUNNING, "")
    at = after(made, at, attempt(exited(0, of=report(NAME)), exited(1), job_ended=True), seconds=60)
    assert decide(at).status.trials[0].phase is TrialPhase.SUCCEEDED


def test_a_queue_that_takes_half_a_gang_back_has_stopped_nothing() -> None:
    made, at = waiting()
    unbound = pod(1, scheduled_at=None, started_at=None, node=None)
    at = after(made, at, attempt(pod(0), planned=2), seconds=5)
    at = after(decide(at), at, held(killed(0)), seconds=5)
    made = decide(at)
    assert (made.status.trials[0].phase, made.status.trials[0].ended_at) == (TrialPhase.STARTING, None)
    assert made.jobs_to_delete == ()
    at = after(made, at, attempt(replace(pod(0), uid="new"), replace(unbound, uid="new-1")), seconds=5)
    made = decide(at)
    assert made.status.trials[0].reason is None


def test_a_job_that_is_taken_away_in_the_middle_was_preempted_and_another_attempt_waits_for_its_devices() -> None:
    made, at = waiting()
    at = after(made, at, attempt(pod(0), pod(1)), seconds=5)
    at = after(decide(at), at, held(killed(0), pod(1, deleting=True)), seconds=60)
    made = decide(at)
    (row,) = made.status.trials
    assert (row.phase, row.reason, row.failures) == (TrialPhase.STOPPING, Reason.PREEMPTED, 0)
    assert "queue lab" in row.message
    at = after(made, at, held(pod(1, deleting=True)))
    made = decide(at)
    assert [stop.reason for stop in made.jobs_to_delete] == [Reason.PREEMPTED]
    assert made.jobs_to_create == ()
    at = after(made, at, seconds=9)
    made = decide(at)
    assert [start.attempt for start in made.jobs_to_create] == [2]
    assert made.status.trials[0].failures == 0


def test_a_person_who_suspends_a_job_is_told_how_it_is_let_go() -> None:
    made, at = waiting()
    made = decide(after(made, at, replace(held(), queue="")))
    assert "spec.runPolicy.suspend" in made.status.trials[0].message


def test_a_run_that_had_ended_well_counts_though_its_job_is_taken_back_and_half_of_one_does_not() -> None:
    made, at = waiting()
    at = after(made, at, attempt(pod(0), pod(1)), seconds=5)
    at = after(decide(at), at, held(exited(0, of=report(NAME)), exited(1)), seconds=60)
    assert decide(at).status.trials[0].phase is TrialPhase.SUCCEEDED
    half = replace(at, attempts=(held(exited(0, of=report(NAME)), pod(1, deleting=True)),))
    (row,) = decide(half).status.trials
    assert (row.phase, row.reason, row.measurement) == (TrialPhase.STOPPING, Reason.PREEMPTED, None)
