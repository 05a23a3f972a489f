"""Tests that two implementations take turns, and that the interval of their median ratio covers 95 %."""

import math
from collections.abc import Callable

import pytest

from benchmarks.comparison import Pair, estimate, interleaved, outside_of, times_faster, times_larger


def silent(words: str) -> None:
    """Reports nothing."""


def played(name: str, calls: list[str], values: list[float]) -> Callable[[], float]:
    """A fake implementation that takes these durations, one after the other, and records its calls."""

    def run() -> float:
        calls.append(name)
        return values[calls.count(name) - 1]

    return run


def test_implementations_take_turns_the_first_alternates_and_the_warm_up_is_discarded() -> None:
    calls: list[str] = []
    plain, ours = played("plain", calls, [9.0, 1.0, 2.0, 3.0]), played("ours", calls, [8.0, 0.1, 0.2, 0.3])
    pairs = interleaved(plain, ours, 3, silent)
    assert calls == ["ours", "plain", "plain", "ours", "ours", "plain", "plain", "ours"]
    assert pairs == (Pair(1.0, 0.1), Pair(2.0, 0.2), Pair(3.0, 0.3))


def test_progress_is_reported_for_each_turn() -> None:
    progress: list[str] = []
    interleaved(lambda: 1.0, lambda: 1.0, 2, progress.append)
    assert progress == ["warm-up", "pair 1 of 2", "pair 2 of 2"]


@pytest.mark.parametrize(
    ("count", "outside"), [(1, None), (2, None), (5, None), (6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (16, 3), (20, 5)]
)
def test_the_number_of_values_to_leave_out_at_each_end_of_the_interval(count: int, outside: int | None) -> None:
    assert outside_of(count) == outside


@pytest.mark.parametrize("count", range(6, 60))
def test_the_interval_covers_the_median_with_95_percent_and_a_tighter_one_would_not(count: int) -> None:
    def covered(outside: int) -> float:
        below = sum(math.comb(count, heads) for heads in range(outside + 1))
        return 1.0 - 2.0 * math.ldexp(below, -count)

    outside = outside_of(count)
    assert outside is not None
    assert covered(outside) >= 0.95 > covered(outside + 1)


def test_an_estimate_is_the_median_between_order_statistics() -> None:
    found = estimate([9.0, 1.0, 5.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0])
    assert (found.value, found.low, found.high) == (5.0, 2.0, 8.0)


def test_too_few_values_have_no_interval() -> None:
    found = estimate([3.0, 1.0, 2.0])
    assert (found.value, found.low, found.high) == (2.0, None, None)


def test_ratios_are_taken_pair_by_pair_so_that_a_slow_spell_cancels() -> None:
    pairs = [Pair(plain=10.0, ours=1.0), Pair(plain=50.0, ours=5.0), Pair(plain=20.0, ours=2.0)]
    assert times_faster(pairs).value == 10.0
    assert times_larger(pairs).value == pytest.approx(0.1)
