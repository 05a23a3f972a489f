"""Tests which other Benchmarks keep a Trial waiting, and which one goes first."""

from dataclasses import replace
from datetime import timedelta

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Spec
from sdbench.core.decide import decide
from sdbench.core.schedule.next_trials import others_running
from sdbench.core.snapshot import Bounds, Snapshot
from unit.core.worlds import DEFAULTS, NOON, attempt, benchmark, pod, spec


def one(number: int, wanted: Spec | None = None, others: int = 0, age: int = 0) -> Benchmark:
    """A Benchmark after its first pass, in which this many Trials of others ran and at most one may run."""
    created = NOON - timedelta(seconds=age)
    of = benchmark(wanted, uid=f"{number:08x}-0000-4000-8000-000000000000", creationTimestamp=created)
    bounds = Bounds(concurrent_trials=1)
    made = decide(Snapshot(of, (), replace(DEFAULTS, bounds=bounds), NOON, others_running=others))
    return of.model_copy(update={"status": made.status})


def test_a_live_trial_of_another_benchmark_counts_and_its_own_does_not() -> None:
    running, mine = one(1), one(2, spec(suspend=True))
    assert others_running(mine, (running, mine)) == 1
    assert others_running(running, (running, mine)) == 0


def test_a_trial_that_is_being_torn_down_still_counts() -> None:
    running = one(0x0A1B2C3D)
    at = Snapshot(running, (attempt(pod()),), DEFAULTS, NOON)
    cancelled = running.model_copy(update={"spec": running.spec.model_copy(update={"cancel": True})})
    stopped = running.model_copy(update={"status": decide(Snapshot(cancelled, at.attempts, DEFAULTS, NOON)).status})
    assert others_running(one(2, spec(suspend=True)), (stopped,)) == 1


def test_the_oldest_waiting_benchmark_goes_first() -> None:
    old, young = one(2, others=1, age=60), one(1, others=1)
    assert others_running(old, (old, young)) == 0
    assert others_running(young, (old, young)) == 1


def test_a_suspended_cancelled_or_deleted_benchmark_blocks_nobody() -> None:
    old, young = one(2, others=1, age=60), one(1, others=1)
    for change in ({"suspend": True}, {"cancel": True}):
        left = old.model_copy(update={"spec": old.spec.model_copy(update=change)})
        assert others_running(young, (left, young)) == 0
    deleted = old.metadata.model_copy(update={"deletion_timestamp": NOON})
    assert others_running(young, (old.model_copy(update={"metadata": deleted}), young)) == 0


def test_exactly_one_of_two_benchmarks_of_the_same_second_goes_first() -> None:
    one_of_them, other = one(1, others=1), one(2, others=1)
    assert {others_running(one_of_them, (other,)), others_running(other, (one_of_them,))} == {0, 1}
