"""Tests how a Benchmark goes on while a queue suspends, admits and preempts its jobs."""

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


def suspended(*pods: PodState, **changes: Any) -> AttemptState:
    return attempt(*pods, planned=2, suspended=True, queue="lab", **changes)


def killed(index: int) -> PodState:
    return exited(index, 143, of=failure(NAME, 143, "Stopped by SIGTERM.", rank=index))


def waiting() -> tuple[Decision, Snapshot]:
    """The pass after the job was created and Kueue's webhook suspended it at once, and its Snapshot."""
    at = snapshot(benchmark(spec(devices=TWO_PODS)))
    at = after(decide(at), at, suspended())
    return decide(at), at


def test_waiting_for_admission_is_reported_once_and_then_silent_until_its_deadline() -> None:
    made, at = waiting()
    (row,) = made.status.trials
    assert (row.phase, row.ended_at, row.failures) == (TrialPhase.STARTING, None, 0)
    assert row.message.startswith("Waits for admission by queue lab; raise the queue's quota")
    at = after(made, at, suspended(), seconds=3_600)
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


def test_a_queue_that_suspends_a_partial_gang_ends_nothing() -> None:
    made, at = waiting()
    unbound = pod(1, scheduled_at=None, started_at=None, node=None)
    at = after(made, at, attempt(pod(0), planned=2), seconds=5)
    at = after(decide(at), at, suspended(killed(0)), seconds=5)
    made = decide(at)
    assert (made.status.trials[0].phase, made.status.trials[0].ended_at) == (TrialPhase.STARTING, None)
    assert made.jobs_to_delete == ()
    at = after(made, at, attempt(replace(pod(0), uid="new"), replace(unbound, uid="new-1")), seconds=5)
    made = decide(at)
    assert made.status.trials[0].reason is None


def test_a_job_suspended_in_the_middle_is_preempted_and_the_next_attempt_waits_for_its_devices() -> None:
    made, at = waiting()
    at = after(made, at, attempt(pod(0), pod(1)), seconds=5)
    at = after(decide(at), at, suspended(killed(0), pod(1, deleting=True)), seconds=60)
    made = decide(at)
    (row,) = made.status.trials
    assert (row.phase, row.reason, row.failures) == (TrialPhase.STOPPING, Reason.PREEMPTED, 0)
    assert "queue lab" in row.message
    at = after(made, at, suspended(pod(1, deleting=True)))
    made = decide(at)
    assert [stop.reason for stop in made.jobs_to_delete] == [Reason.PREEMPTED]
    assert made.jobs_to_create == ()
    at = after(made, at, seconds=9)
    made = decide(at)
    assert [start.attempt for start in made.jobs_to_create] == [2]
    assert made.status.trials[0].failures == 0


def test_a_job_suspended_by_a_person_says_how_to_resume_it() -> None:
    made, at = waiting()
    made = decide(after(made, at, replace(suspended(), queue="")))
    assert "spec.runPolicy.suspend" in made.status.trials[0].message


def test_a_complete_run_counts_though_its_job_is_suspended_and_an_incomplete_one_does_not() -> None:
    made, at = waiting()
    at = after(made, at, attempt(pod(0), pod(1)), seconds=5)
    at = after(decide(at), at, suspended(exited(0, of=report(NAME)), exited(1)), seconds=60)
    assert decide(at).status.trials[0].phase is TrialPhase.SUCCEEDED
    incomplete = replace(at, attempts=(suspended(exited(0, of=report(NAME)), pod(1, deleting=True)),))
    (row,) = decide(incomplete).status.trials
    assert (row.phase, row.reason, row.measurement) == (TrialPhase.STOPPING, Reason.PREEMPTED, None)
