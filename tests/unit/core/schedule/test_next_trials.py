"""Tests which Trial starts next, and which waits for devices, back-off or other Benchmarks."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sdbench.api.consequences import Consequence, Scope
from sdbench.api.reasons import Reason
from sdbench.api.spec import Limits, Spec
from sdbench.api.status import Phase, TrialPhase, TrialRow
from sdbench.core.attempt.diagnose import Diagnosis
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, Bounds, Decision, Snapshot
from sdbench.core.trial.backoff import FIRST_SECONDS, LONGEST_SECONDS, delay
from sdbench.core.trial.row import concluded
from unit.core.worlds import UID, after, attempt, benchmark, condition, exited, pod, report, snapshot, spec

TWO_PODS = {"counts": [2], "perPod": 1}
GANG = Diagnosis(reason=Reason.UNSCHEDULABLE, message="1 of 2 pods hold devices", consequence=Consequence.BACKS_OFF)


def measured(trial: int = 0) -> AttemptState:
    name = attempt(trial=trial).name
    return attempt(exited(of=report(name)), trial=trial, job_ended=True)


def jobs_to_create(made: Decision) -> list[int]:
    return [start.trial for start in made.jobs_to_create]


# Devices at once.


@pytest.mark.parametrize(
    ("limits", "bounds", "expected"),
    [
        ({"maxDevices": 7}, Bounds(), [0, 1, 2]),
        ({"maxDevices": 6}, Bounds(), [0, 1]),
        ({"maxDevices": 4}, Bounds(), [0, 1]),
        ({}, Bounds(max_devices=6), [0, 1]),
        ({"maxDevices": 6}, Bounds(max_devices=7), [0, 1]),
        ({}, Bounds(), [0, 1, 2, 3]),
    ],
)
def test_parallel_trials_hold_at_most_the_allowed_devices(
    limits: dict[str, int], bounds: Bounds, expected: list[int]
) -> None:
    wanted = spec(devices={"counts": [1, 2, 4], "perPod": 1}, repeats={"min": 2}, parallelism=4, limits=limits)
    at = snapshot(benchmark(wanted))
    assert jobs_to_create(decide(replace(at, defaults=replace(at.defaults, bounds=bounds)))) == expected


def test_no_trial_overtakes_one_that_waits_for_devices() -> None:
    wanted = spec(
        devices={"counts": [1, 2, 4], "perPod": 1}, repeats={"min": 2}, parallelism=4, limits={"maxDevices": 6}
    )
    at = snapshot(benchmark(wanted))
    at = after(decide(at), at, attempt(pod()), attempt(pod(0), pod(1), trial=1), seconds=10)
    at = after(decide(at), at, measured(), attempt(pod(0), pod(1), trial=1), seconds=10)
    at = after(decide(at), at, measured(), attempt(pod(0), pod(1), trial=1))
    at = after(decide(at), at, attempt(pod(0), pod(1), trial=1))
    assert jobs_to_create(decide(at)) == [2], "4 + 2 fit; the trials of 1 and 2 devices behind it wait"


def test_trials_above_a_lowered_bound_are_skipped_and_name_it() -> None:
    at = snapshot(benchmark(spec()))
    at = after(decide(at), at, attempt(pod()), seconds=10)
    made = decide(replace(at, defaults=replace(at.defaults, bounds=Bounds(max_devices=1))))
    assert [row.phase for row in made.status.trials] == [TrialPhase.RUNNING, TrialPhase.FAILED]
    assert "the administrator allows at once (bounds.maxDevices) is 1 now" in made.status.trials[1].message


# Back-off.


def live(wanted: Spec | None = None, **changes: Any) -> tuple[TrialRow, Snapshot]:
    """The row of a Trial with one pod on a device and one without a node, and its Snapshot."""
    at = snapshot(benchmark(wanted or spec(devices=TWO_PODS)))
    partial = attempt(pod(), pod(1, scheduled_at=None, started_at=None, unschedulable="0/2"), **changes)
    at = after(decide(at), at, partial, seconds=300)
    return at.benchmark.status.trials[0], at


def backed_off(wanted: Spec | None = None, lasting: float = 0) -> tuple[Decision, Snapshot]:
    """The pass after the Trial gave its devices back, which took this many seconds, and its Snapshot."""
    row, at = live(wanted)
    stopping = concluded(row, GANG, at)
    status = at.benchmark.status.model_copy(update={"trials": (stopping, *at.benchmark.status.trials[1:])})
    made = Decision(status)
    at = after(made, at, seconds=lasting)
    return decide(at), at


def test_giving_devices_back_does_not_count_as_a_failure() -> None:
    row, at = live()
    stopping = concluded(row, GANG, at)
    assert (stopping.phase, stopping.failures, stopping.waiting_since) == (TrialPhase.STOPPING, 0, row.queued_at)
    assert stopping.not_before == at.now + delay(UID, row)


@pytest.mark.parametrize("lasting", [0, 30, 4_000])
def test_a_trial_is_retried_a_delay_after_its_devices_are_free(lasting: float) -> None:
    made, at = backed_off(lasting=lasting)
    row = made.status.trials[0]
    assert (row.phase, row.not_before, made.jobs_to_create) == (TrialPhase.PENDING, at.now + delay(UID, row), ())
    at = after(made, at)
    wait = delay(UID, row)
    assert decide(at).requeue_after == wait
    assert decide(replace(at, now=at.now + wait - timedelta(seconds=1))).status == at.benchmark.status
    again = decide(replace(at, now=at.now + wait))
    assert [start.attempt for start in again.jobs_to_create] == [2]
    row = again.status.trials[0]
    assert (row.not_before, row.waiting_since) == (None, made.status.trials[0].waiting_since)


def test_no_trial_overtakes_one_that_backs_off() -> None:
    made, at = backed_off(spec(devices={"counts": [2, 4], "perPod": 1}, repeats={"min": 2}))
    assert made.jobs_to_create == ()
    assert decide(after(made, at)).jobs_to_create == ()


def test_delays_grow_and_stay_below_their_cap() -> None:
    row = TrialRow(trial=0, point="devices=2", devices=2, repeat=0)
    waits = [delay(UID, row.model_copy(update={"attempt": number})).total_seconds() for number in range(1, 12)]
    bases = [min(LONGEST_SECONDS, FIRST_SECONDS * 2**number) for number in range(11)]
    assert all(base / 2 <= wait <= base * 1.5 for wait, base in zip(waits, bases, strict=True))
    assert delay(UID, row.model_copy(update={"attempt": 5, "failures": 4})).total_seconds() <= FIRST_SECONDS * 1.5


def test_delays_differ_between_benchmarks() -> None:
    row = TrialRow(trial=0, point="devices=2", devices=2, repeat=0, attempt=4)
    waits = {delay(f"{number:08x}-0000-4000-8000-000000000000", row) for number in range(20)}
    assert len(waits) > 12


def test_the_total_wait_is_bounded_from_the_first_attempt_on() -> None:
    made, at = backed_off(spec(devices=TWO_PODS, limits={"queuedSeconds": 400}))
    at = after(made, at, seconds=25)
    bound, unplaced = pod(scheduled_at=at.now, started_at=None), pod(1, scheduled_at=None, started_at=None)
    partial = attempt(bound, unplaced, number=2, created_at=at.now)
    at = after(decide(at), at, partial, seconds=10)
    at = after(decide(at), at, partial)
    assert decide(at).requeue_after == timedelta(seconds=400 - 335)
    at = replace(at, now=at.now + timedelta(seconds=65))
    made = decide(at)
    row = made.status.trials[0]
    assert (row.phase, row.reason, row.scope) == (TrialPhase.FAILED, "Unschedulable", Scope.POINT)
    assert "within limits.queuedSeconds, 400 s" in row.message
    assert decide(after(made, at, partial)).status.phase is Phase.FAILED


def test_the_queue_timeout_also_expires_during_a_back_off() -> None:
    made, at = backed_off(spec(devices=TWO_PODS, limits={"queuedSeconds": 303}))
    at = after(made, at)
    assert decide(at).requeue_after == timedelta(seconds=3)
    made = decide(replace(at, now=at.now + timedelta(seconds=3)))
    assert (made.status.trials[0].phase, made.status.trials[0].reason) == (TrialPhase.FAILED, "Unschedulable")


def test_the_wait_is_reset_once_all_pods_have_nodes() -> None:
    made, at = backed_off()
    at = after(made, at, seconds=25)
    both = attempt(pod(0), pod(1), number=2)
    at = after(decide(at), at, both, seconds=5)
    assert decide(at).status.trials[0].waiting_since is None


def test_the_wait_does_not_count_while_suspended() -> None:
    made, at = backed_off(spec(devices=TWO_PODS, limits={"queuedSeconds": 400}))
    at = after(made, at, suspend=True)
    made = decide(at)
    row = made.status.trials[0]
    assert (row.phase, row.waiting_since, row.not_before) == (TrialPhase.PENDING, None, None)
    at = after(made, at, seconds=9_000)
    assert (decide(at).status, decide(at).requeue_after) == (at.benchmark.status, None)
    assert jobs_to_create(decide(after(made, at, suspend=False))) == [0]


def test_a_raised_limit_extends_the_wait_of_a_trial() -> None:
    made, at = backed_off(spec(devices=TWO_PODS, limits={"queuedSeconds": 303}))
    at = after(made, at, seconds=3, limits=Limits.model_validate({"queuedSeconds": 9_000}))
    assert decide(at).status.trials[0].phase is TrialPhase.PENDING


# Across Benchmarks.


def crowded(others: int, most: int, wanted: Spec | None = None) -> Snapshot:
    at = snapshot(benchmark(wanted))
    bounds = Bounds(concurrent_trials=most)
    return replace(at, defaults=replace(at.defaults, bounds=bounds), others_running=others)


@pytest.mark.parametrize(
    ("others", "most", "parallelism", "expected"),
    [(0, 1, 3, [0]), (1, 1, 1, []), (1, 3, 3, [0, 1]), (5, 3, 1, []), (0, 9, 2, [0, 1])],
)
def test_as_many_trials_run_at_once_as_the_administrator_allows(
    others: int, most: int, parallelism: int, expected: list[int]
) -> None:
    made = decide(crowded(others, most, spec(repeats={"min": 2}, parallelism=parallelism)))
    assert jobs_to_create(made) == expected


def test_waiting_for_other_benchmarks_is_reported_once_and_polled() -> None:
    at = crowded(1, 1)
    made = decide(at)
    running = next(one for one in made.status.conditions if one.type == "Running")
    assert (running.status, running.reason) == ("False", "WaitsForOtherBenchmarks")
    assert "administrator" in running.message
    at = after(made, at, seconds=60)
    again = decide(at)
    assert (again.status, again.events) == (at.benchmark.status, ())
    assert again.requeue_after == timedelta(seconds=5)
    freed = decide(replace(at, others_running=0))
    assert jobs_to_create(freed) == [0]
    assert condition(freed.status, "Running") == "True"


def test_a_suspended_benchmark_waits_for_nobody() -> None:
    made = decide(crowded(1, 1, spec(suspend=True)))
    running = next(one for one in made.status.conditions if one.type == "Running")
    assert running.reason == "Waiting"
    assert decide(after(made, crowded(1, 1, spec(suspend=True)))).requeue_after is None
