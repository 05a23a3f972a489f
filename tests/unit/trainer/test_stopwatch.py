"""Is the stopwatch exact? Fed with constructed times, every statistic is right to 1e-9."""

import math
from dataclasses import dataclass
from statistics import fmean, median

import pytest

from sdbench_trainer.config import Window
from sdbench_trainer.stopwatch import (
    RankWindow,
    Stopwatch,
    WindowState,
    drift_ratio,
    measurement,
    percentile,
    rank_skew_ratio,
)


@dataclass
class Clock:
    """A clock that is moved by hand."""

    now: float = 5_000.0

    def after(self, seconds: float) -> float:
        self.now += seconds
        return self.now


def window(warmup: int = 2, batches: int = 4, seconds: int = 0) -> Window:
    return Window(warmup_batches=warmup, warmup_seconds=seconds, batches=batches)


def run(watch: Stopwatch, clock: Clock, steps: list[float]) -> None:
    begun = clock.now
    for seconds in steps:
        now = clock.after(seconds)
        watch.step_ended(now, now - begun)


def exactly(value: float) -> object:
    return pytest.approx(value, abs=1e-9, rel=0)


def test_slow_warm_up_steps_are_not_measured() -> None:
    watch = Stopwatch(window())
    run(watch, Clock(), [9.0, 7.0, 0.1, 0.2, 0.3, 0.4])
    assert watch.steps == [exactly(0.1), exactly(0.2), exactly(0.3), exactly(0.4)]
    assert watch.state is WindowState.COMPLETE


def test_steps_after_the_window_change_nothing() -> None:
    watch, clock = Stopwatch(window()), Clock()
    run(watch, clock, [1.0] * 6)
    run(watch, clock, [50.0] * 3)
    assert math.fsum(watch.steps) == exactly(4.0)


def test_the_window_opens_when_both_batches_and_seconds_of_warm_up_have_passed() -> None:
    watch, clock = Stopwatch(window(warmup=1, batches=2, seconds=10)), Clock()
    run(watch, clock, [4.0, 4.0])
    assert watch.state is WindowState.WARM_UP
    watch.step_ended(clock.after(4.0), 12.0)
    assert watch.state.value == WindowState.MEASURING
    run(watch, clock, [0.5, 0.25])
    assert watch.steps == [exactly(0.5), exactly(0.25)]


def test_pauses_are_taken_out_of_the_step_that_they_delay() -> None:
    watch, clock = Stopwatch(window(warmup=1, batches=2)), Clock()
    run(watch, clock, [1.0])
    watch.pause(clock.now)
    watch.resume(clock.after(30.0))
    clock.after(0.05)
    watch.pause(clock.now)
    watch.resume(clock.after(2.0))
    run(watch, clock, [0.1])
    run(watch, clock, [0.1])
    assert watch.steps == [exactly(0.15), exactly(0.1)]


def test_a_pause_before_the_window_does_not_leak_into_it() -> None:
    watch, clock = Stopwatch(window(warmup=2, batches=2)), Clock()
    run(watch, clock, [1.0])
    watch.pause(clock.now)
    watch.resume(clock.after(3.0))
    run(watch, clock, [1.0, 0.5, 0.5])
    assert watch.steps == [exactly(0.5), exactly(0.5)]


def test_resuming_without_a_pause_changes_nothing() -> None:
    watch, clock = Stopwatch(window(warmup=1, batches=2)), Clock()
    run(watch, clock, [1.0])
    watch.resume(clock.after(0.25))
    run(watch, clock, [0.25, 1.0])
    assert watch.steps == [exactly(0.5), exactly(1.0)]


def test_ten_thousand_steps_add_up_exactly() -> None:
    steps = [0.1 + 0.001 * (number % 7) for number in range(10_000)]
    watch = Stopwatch(window(warmup=1, batches=10_000))
    run(watch, Clock(), [3.0, *steps])
    result = measurement(watch.steps, 64, [RankWindow(0.0, 1.0, 1)], loss=0.5)
    assert result.seconds == exactly(math.fsum(steps))
    assert result.images_per_second == exactly(640_000 / math.fsum(steps))
    assert result.step_seconds.p50 == exactly(median(steps))
    assert result.median_images_per_second == pytest.approx(64 / median(steps), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([1.0], 0.05, 1.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(number) for number in range(101)], 0.95, 95.0),
        ([0.0, 10.0], 0.05, 0.5),
        ([1.0, 2.0], 1.0, 2.0),
    ],
)
def test_percentiles_are_linear_between_neighbours(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == exactly(expected)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([1.0] * 9, 0.0),
        ([1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 1.2, 1.2, 1.2], 0.2),
        ([2.0, 1.0], -0.5),
        ([1.0, 9.0, 9.0, 9.0, 3.0], 2.0),
    ],
)
def test_drift_compares_the_last_third_with_the_first(steps: list[float], expected: float) -> None:
    assert drift_ratio(steps) == exactly(expected)


def test_skew_is_the_slowest_rank_over_the_median_one() -> None:
    ranks = [RankWindow(wait, forward, 1) for wait, forward in ((0.0, 1.0), (0.5, 1.0), (0.0, 1.1))]
    assert rank_skew_ratio(ranks) == exactly(1.5 / 1.1)
    assert rank_skew_ratio([RankWindow(0.0, 0.0, 1)]) == exactly(1.0)


def test_waits_are_shares_of_the_window_worst_and_mean() -> None:
    ranks = [RankWindow(0.2, 1.0, 10), RankWindow(1.0, 1.0, 30, 7), RankWindow(0.0, 1.0, 20, 9)]
    result = measurement([1.0, 3.0], 8, ranks, loss=1.0)
    assert result.data_wait_ratio_max == exactly(0.25)
    assert result.data_wait_ratio_mean == exactly(fmean([0.05, 0.25, 0.0]))
    assert result.host_memory_peak_bytes == 30
    assert result.device_memory_peak_bytes == 9
    assert result.batches == 2
    assert result.images == 16
