"""Tests which jobs are kept for inspection, and when a Benchmark deletes itself."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sdbench.api.spec import Retention, Spec
from sdbench.api.status import Phase, TrialPhase
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, Decision, PodState, Snapshot
from sdbench.core.trial.retention import kept_jobs, may_keep_a_job
from unit.core.worlds import NOON, after, attempt, benchmark, condition, exited, failure, pod, report, snapshot, spec

ONE = {"counts": [1], "perPod": 1}
TWO_PODS = {"counts": [2], "perPod": 1}
AN_HOUR = {"failedSeconds": 3_600}
LONG = timedelta(seconds=3_600)
ENDED = NOON + timedelta(seconds=10)


def broken(code: int = 70, trial: int = 0, number: int = 1, at: datetime = ENDED, **changes: Any) -> AttemptState:
    """An Attempt whose only pod has failed."""
    name = attempt(trial=trial, number=number).name
    failed_pod = exited(0, code, of=failure(name, code, "it broke"))
    return attempt(failed_pod, trial=trial, number=number, job_ended=True, ended_at=at, **changes)


def failed(wanted: Spec, *states: AttemptState, seconds: float = 10) -> tuple[Decision, Snapshot]:
    """The pass after the first Trial's Attempt failed, and the Snapshot after its status was stored."""
    at = snapshot(benchmark(wanted))
    at = after(decide(at), at, attempt(*[pod(index) for index in range(len(states[0].pods))]), seconds=5)
    at = after(decide(at), at, *states, seconds=seconds - 5)
    made = decide(at)
    return made, after(made, at, *states)


def at_second(at: Snapshot, seconds: float) -> Snapshot:
    return replace(at, now=NOON + timedelta(seconds=seconds))


def test_by_default_a_failed_job_is_kept_for_an_hour() -> None:
    _, at = failed(spec(devices=ONE, retention={}), broken())
    assert decide(at).jobs_to_delete == ()
    at = at_second(at, 25)
    at = after(decide(at), at, broken())
    assert condition(at.benchmark.status, "CleanedUp") == "True"
    assert decide(at_second(at, 3_609)).jobs_to_delete == ()
    assert [stop.name for stop in decide(at_second(at, 3_610)).jobs_to_delete] == [broken().name]


def test_without_retention_a_failed_job_is_deleted_at_once() -> None:
    _, at = failed(spec(devices=ONE, retention={"failedSeconds": 0}), broken())
    assert [stop.name for stop in decide(at).jobs_to_delete] == [broken().name]


def test_a_failed_job_is_kept_and_its_devices_are_free_once_that_is_certain() -> None:
    _, at = failed(spec(devices=ONE, retention=AN_HOUR), broken())
    made = decide(at)
    assert (made.jobs_to_delete, condition(made.status, "CleanedUp")) == ((), "False"), "the job may still create pods"
    assert made.requeue_after is not None
    at = at_second(at, 10 + 15)
    made = decide(at)
    assert (made.jobs_to_delete, condition(made.status, "CleanedUp"), made.status.phase) == ((), "True", Phase.FAILED)
    assert made.status.trials[0].released_at == at.now
    at = after(made, at, broken())
    again = decide(at)
    assert (again.status, again.jobs_to_delete, again.events) == (made.status, (), ())
    assert again.requeue_after == LONG - timedelta(seconds=15), "silent until it is to be deleted"


def test_a_kept_job_is_deleted_when_its_time_is_over_without_a_status_change() -> None:
    _, at = failed(spec(devices=ONE, retention=AN_HOUR), broken())
    at = at_second(at, 100)
    at = after(decide(at), at, broken())
    at = at_second(at, 3_610)
    made = decide(at)
    assert ([stop.name for stop in made.jobs_to_delete], made.status) == ([broken().name], at.benchmark.status)
    at = after(made, at)
    assert (decide(at).status, decide(at).requeue_after) == (at.benchmark.status, None)


def test_kept_jobs_are_deleted_at_once_when_retention_is_lowered_to_zero() -> None:
    _, at = failed(spec(devices=ONE, retention=AN_HOUR), broken())
    at = at_second(at, 100)
    at = after(decide(at), at, broken(), retention=Retention(failed_seconds=0))
    assert len(decide(at).jobs_to_delete) == 1


def test_the_next_trial_and_the_next_attempt_start_beside_kept_jobs() -> None:
    _, at = failed(spec(repeats={"min": 1}, retention=AN_HOUR, retries=1), broken(69))
    at = at_second(at, 25)
    made = decide(at)
    assert [start.name for start in made.jobs_to_create] == ["tiny-0a1b2-0-2"]
    again = broken(69, number=2, at=at.now)
    at = after(made, at, broken(69), attempt(pod(), number=2), seconds=5)
    at = after(decide(at), at, broken(69), again, seconds=5)
    made = decide(at)
    assert made.status.trials[0].phase is TrialPhase.FAILED
    at = after(made, at, broken(69), again, seconds=15)
    made = decide(at)
    assert ([start.trial for start in made.jobs_to_create], made.jobs_to_delete) == ([1], ())


def test_the_job_of_a_measured_attempt_is_not_kept() -> None:
    done = attempt(exited(of=report(attempt().name)), job_ended=True, ended_at=ENDED)
    _, at = failed(spec(devices=ONE, retention=AN_HOUR), done)
    assert [stop.reason for stop in decide(at).jobs_to_delete] == ["Measured"]


def test_pods_that_lost_a_peer_may_end_by_themselves_before_anything_is_deleted() -> None:
    failed_pod = exited(1, 65, of=failure(attempt().name, 65, "no data"))
    one_runs = attempt(pod(0), failed_pod, job_ended=True, ended_at=ENDED)
    _, at = failed(spec(devices=TWO_PODS, retention=AN_HOUR), one_runs)
    assert decide(at).jobs_to_delete == ()
    assert decide(at).requeue_after is not None
    both = replace(one_runs, pods=(exited(0, 69), failed_pod))
    assert decide(at_second(replace(at, attempts=(both,)), 26)).jobs_to_delete == ()
    late = at_second(at, 25)
    assert len(decide(late).jobs_to_delete) == 1, "a pod that hangs holds devices no longer than that"


def test_a_job_whose_status_does_not_show_its_end_yet_gets_time_to() -> None:
    early = attempt(exited(0, 67, of=failure(attempt().name, 67)))
    _, at = failed(spec(devices=ONE, retention=AN_HOUR), early)
    assert decide(at).jobs_to_delete == (), "the container's end is seen before the job's"
    assert decide(replace(at, attempts=(broken(67),))).jobs_to_delete == ()
    assert len(decide(at_second(at, 25)).jobs_to_delete) == 1


NOT_KEPT: list[tuple[str, AttemptState]] = [
    ("its job does not end", attempt(exited(0, 70), exited(1, 69))),
    ("a pod is missing", replace(broken(), planned_pods=2)),
    ("it never ran", attempt(pod(started_at=None), pod(1, started_at=None, waiting_reason="InvalidImageName"))),
]


@pytest.mark.parametrize("state", [one[1] for one in NOT_KEPT], ids=[one[0] for one in NOT_KEPT])
def test_a_job_with_nothing_to_inspect_is_deleted(state: AttemptState) -> None:
    at = snapshot(benchmark(spec(devices=TWO_PODS, retention=AN_HOUR)))
    at = after(decide(at), at, attempt(pod(0), pod(1)), seconds=5)
    at = after(decide(at), at, state, seconds=30)
    at = after(decide(at), at, state, seconds=30)
    assert len(decide(at).jobs_to_delete) == 1


def test_a_job_that_the_operator_stops_is_not_kept() -> None:
    at = snapshot(benchmark(spec(devices=ONE, retention=AN_HOUR)))
    at = after(decide(at), at, attempt(pod()), seconds=5)
    at = after(decide(at), at, attempt(pod()), suspend=True)
    at = after(decide(at), at, attempt(pod()))
    assert len(decide(at).jobs_to_delete) == 1


def test_only_the_last_eight_failed_jobs_of_a_benchmark_are_kept() -> None:
    wanted = spec(devices=ONE, retention=AN_HOUR, retries=20)
    at = snapshot(benchmark(wanted))
    states: tuple[AttemptState, ...] = ()
    for number in range(1, 11):
        runs = attempt(pod(), number=number, created_at=at.now)
        at = after(decide(at), at, *states, runs)
        states = (*states, broken(69, number=number, at=at.now))
        at = after(decide(at), at, *states)
        at = after(decide(at), at, *states, seconds=15)
        made = decide(at)
        gone = {stop.name for stop in made.jobs_to_delete}
        assert gone == ({states[0].name} if len(states) > 8 else set())
        states = tuple(state for state in states if state.name not in gone)
        at = after(made, at, *states)
    assert [state.attempt for state in states] == list(range(3, 11))


def test_a_kept_job_is_neither_deleted_nor_run_again_after_its_status_was_lost() -> None:
    at = snapshot(benchmark(spec(devices=ONE, retention=AN_HOUR)), broken(69, number=3), seconds=100)
    made = decide(at)
    assert (made.jobs_to_create, made.jobs_to_delete) == ((), ())
    at = after(made, at, broken(69, number=3), seconds=1)
    made = decide(at)
    assert [start.name for start in decide(after(made, at, broken(69, number=3))).jobs_to_create] == ["tiny-0a1b2-0-4"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("phase", TrialPhase)
def test_a_row_says_whether_its_first_attempt_may_be_kept(phase: TrialPhase, number: int) -> None:
    _, at = failed(spec(devices=ONE, retention=AN_HOUR), broken())
    (row,) = at.benchmark.status.trials
    row = row.model_copy(update={"phase": phase, "attempt": number})
    assert may_keep_a_job(row) is bool(kept_jobs((row,), at))


# A Benchmark that deletes itself.


def finished(ttl: int | None, **changes: Any) -> Snapshot:
    """A Benchmark that failed at noon + 10 s and whose devices are free since noon + 11 s."""
    _, at = failed(spec(devices=ONE, ttlSecondsAfterFinished=ttl, **changes), broken())
    at = after(decide(at), at, seconds=1)
    made = decide(at)
    assert condition(made.status, "CleanedUp") == "True"
    return after(made, at)


def test_a_benchmark_without_a_ttl_stays() -> None:
    at = at_second(finished(None), 10**8)
    assert (decide(at).delete_self, decide(at).requeue_after) == (False, None)


def test_a_finished_benchmark_is_deleted_exactly_when_its_ttl_has_passed() -> None:
    at = finished(60)
    assert (decide(at).delete_self, decide(at).requeue_after) == (False, timedelta(seconds=60))
    assert not decide(at_second(at, 11 + 59)).delete_self
    made = decide(at_second(at, 11 + 60))
    assert (made.delete_self, made.status, made.jobs_to_create, made.jobs_to_delete) == (
        True,
        at.benchmark.status,
        (),
        (),
    )


def test_a_benchmark_is_not_deleted_before_its_devices_are_free() -> None:
    _, at = failed(spec(devices=ONE, ttlSecondsAfterFinished=0), broken())
    going: PodState = pod(deleting=True)
    at = after(decide(at), at, attempt(going, job_uid=None), seconds=9_000)
    at = after(decide(at), at, attempt(going, job_uid=None))
    assert not decide(at).delete_self


def test_a_ttl_of_zero_deletes_the_benchmark_once_its_end_is_stored() -> None:
    at = finished(0)
    assert decide(at).delete_self


def test_a_ttl_may_be_changed_until_it_has_passed() -> None:
    at = finished(60)
    longer = at_second(after(decide(at), at, ttl_seconds_after_finished=600), 11 + 60)
    assert not decide(longer).delete_self
    never = at_second(after(decide(at), at, ttl_seconds_after_finished=None), 10**8)
    assert not decide(never).delete_self


def test_a_running_or_suspended_benchmark_does_not_expire() -> None:
    at = snapshot(benchmark(spec(devices=ONE, ttlSecondsAfterFinished=0)))
    at = after(decide(at), at, attempt(pod()), seconds=5)
    assert not decide(after(decide(at), at, attempt(pod()))).delete_self
    at = snapshot(benchmark(spec(devices=ONE, ttlSecondsAfterFinished=0, suspend=True)))
    assert not decide(after(decide(at), at, seconds=9_000)).delete_self


def test_a_rejected_benchmark_expires_too() -> None:
    at = snapshot(benchmark(spec(limits={"maxDevices": 1}, ttlSecondsAfterFinished=60)))
    at = after(decide(at), at)
    assert decide(at).requeue_after == timedelta(seconds=60)
    assert decide(at_second(at, 60)).delete_self
