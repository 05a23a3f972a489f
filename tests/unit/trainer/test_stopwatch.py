"""Tests that every statistic of the window is exact to 1e-9, with a clock that is moved by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import fmean, median

import pytest

from sdbench_trainer.config import Window
from sdbench_trainer.errors import LossNotFinite, WindowIncomplete
from sdbench_trainer.measure.host_load import CpuDelta
from sdbench_trainer.measure.stopwatch import (
    RankWindow,
    Stopwatch,
    block_means,
    drift_ratio,
    finite,
    measurement,
    rank_skew_ratio,
)
from sdbench_trainer.report import Measurement, WindowState


@dataclass
class Clock:
    """A clock that is moved by hand."""

    now: float = 5_000.0

    def after(self, seconds: float) -> float:
        self.now += seconds
        return self.now


def window(warmup: int = 2, batches: int = 4, seconds: int = 0) -> Window:
    return Window(warmup_batches=warmup, warmup_seconds=seconds, batches=batches)


def run(watch: Stopwatch, clock: Clock, steps: Sequence[float]) -> None:
    begun = clock.now
    for seconds in steps:
        now = clock.after(seconds)
        watch.step_ended(now, now - begun)


ALONE = RankWindow(wait_seconds=0.0, forward_seconds=1.0, host_memory_peak_bytes=1)


def measured(
    steps: Sequence[float], ranks: Sequence[RankWindow] = (ALONE,), loss: float = 0.5, foreign: str = "0.1"
) -> Measurement:
    """The Measurement of a window of these steps, after one step of warm-up, with batches of 64 images."""
    asked = Window(warmup_batches=1, batches=len(steps), max_foreign_cpu_ratio=Decimal(foreign))
    watch = Stopwatch(asked)
    run(watch, Clock(), [7.0, *steps])
    return measurement(asked, watch.steps, 64, ranks, loss)


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


def test_the_window_opens_once_both_the_batches_and_the_seconds_of_warm_up_have_passed() -> None:
    watch, clock = Stopwatch(window(warmup=1, batches=2, seconds=10)), Clock()
    run(watch, clock, [4.0, 4.0])
    assert watch.state is WindowState.WARM_UP
    watch.step_ended(clock.after(4.0), 12.0)
    assert watch.state.value == WindowState.MEASURING
    run(watch, clock, [0.5, 0.25])
    assert watch.steps == [exactly(0.5), exactly(0.25)]


def test_pauses_are_subtracted_from_the_step_that_they_delay() -> None:
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
    result = measured(steps)
    assert result.seconds == exactly(math.fsum(steps))
    assert result.images_per_second == exactly(640_000 / math.fsum(steps))
    assert result.step_seconds.p50 == exactly(median(steps))
    assert result.median_images_per_second == pytest.approx(64 / median(steps), rel=1e-9)


@pytest.mark.parametrize(
    ("steps", "p5", "p50", "p95"),
    [
        ([1.0, 2.0], 1.05, 1.5, 1.95),
        ([3.0, 1.0, 2.0], 1.1, 2.0, 2.9),
        ([1.0 + number for number in range(101)], 6.0, 51.0, 96.0),
        ([2.0, 12.0], 2.5, 7.0, 11.5),
    ],
)
def test_percentiles_are_linear_between_neighbours(steps: list[float], p5: float, p50: float, p95: float) -> None:
    found = measured(steps).step_seconds
    assert [found.p5, found.p50, found.p95] == [exactly(p5), exactly(p50), exactly(p95)]


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


def test_a_slow_rank_affects_only_the_skew_and_its_own_wait() -> None:
    steps = [0.5] * 20
    usual = RankWindow(wait_seconds=0.2, forward_seconds=3.0, host_memory_peak_bytes=1)
    slow_loader, slow_model = replace(usual, wait_seconds=2.2), replace(usual, forward_seconds=4.0)
    even = measured(steps, [usual] * 8)
    loader = measured(steps, [*[usual] * 7, slow_loader])
    model = measured(steps, [slow_model, *[usual] * 7])
    assert [one.rank_skew_ratio for one in (even, loader, model)] == [
        exactly(1.0),
        exactly(5.2 / 3.2),
        exactly(4.2 / 3.2),
    ]
    assert [one.data_wait_ratio_max for one in (even, loader, model)] == [exactly(0.02), exactly(0.22), exactly(0.02)]
    assert loader.data_wait_ratio_mean == exactly((7 * 0.02 + 0.22) / 8)
    assert {one.images_per_second for one in (even, loader, model)} == {even.images_per_second}


def test_the_median_of_two_ranks_is_their_mean() -> None:
    assert rank_skew_ratio([RankWindow(0.0, 1.0, 1), RankWindow(0.0, 3.0, 1)]) == exactly(1.5)


def test_waits_are_shares_of_the_window_as_maximum_and_mean() -> None:
    ranks = [RankWindow(0.2, 1.0, 10), RankWindow(1.0, 1.0, 30, 7), RankWindow(0.0, 1.0, 20, 9)]
    result = measured([1.0, 3.0], ranks)
    assert result.data_wait_ratio_max == exactly(0.25)
    assert result.data_wait_ratio_mean == exactly(fmean([0.05, 0.25, 0.0]))
    assert result.host_memory_peak_bytes == 30
    assert result.device_memory_peak_bytes == 9
    assert result.batches == 2
    assert result.images == 128


def test_a_stall_in_the_middle_changes_the_mean_p95_and_its_block_but_not_the_median() -> None:
    steps = [0.5] * 100
    steps[45:55] = [0.75] * 10
    steps[50] = 20.5
    calm, result = measured([0.5] * 100), measured(steps)
    assert result.median_images_per_second == calm.median_images_per_second == exactly(128.0)
    assert result.step_seconds.p5 == result.step_seconds.p50 == exactly(0.5)
    assert result.step_seconds.p95 == exactly(0.75)
    assert result.seconds == exactly(90 * 0.5 + 9 * 0.75 + 20.5)
    assert result.images_per_second == exactly(6400 / 72.25)
    assert result.drift_ratio == exactly(0.0)
    assert result.block_step_seconds == (
        *[exactly(0.5)] * 4,
        exactly(0.625),
        exactly((4 * 0.75 + 20.5 + 5 * 0.5) / 10),
        *[exactly(0.5)] * 4,
    )


def test_a_stall_at_the_end_is_drift() -> None:
    result = measured([0.25] * 8 + [0.75])
    assert result.drift_ratio == exactly((0.25 + 0.25 + 0.75) / 0.75 - 1)
    assert result.median_images_per_second == exactly(256.0)


def test_a_window_of_two_steps_has_every_statistic() -> None:
    result = measured([1.0, 3.0])
    assert (result.batches, result.images, result.seconds) == (2, 128, exactly(4.0))
    assert result.images_per_second == exactly(32.0)
    assert result.median_images_per_second == exactly(32.0)
    assert result.step_seconds.p5 == exactly(1.1)
    assert result.step_seconds.p50 == exactly(2.0)
    assert result.step_seconds.p95 == exactly(2.9)
    assert result.drift_ratio == exactly(2.0)
    assert result.block_step_seconds == (exactly(1.0), exactly(3.0))


def test_an_evaluation_and_a_checkpoint_in_the_window_change_no_statistic() -> None:
    asked = window(warmup=1, batches=5)
    watch, clock = Stopwatch(asked), Clock()
    run(watch, clock, [1.0])
    for seconds in (0.5, 0.25, 0.125, 0.25, 0.5):
        watch.pause(clock.now)
        watch.resume(clock.after(11.0))
        watch.pause(clock.after(seconds / 2))
        watch.resume(clock.after(3.0))
        run(watch, clock, [seconds / 2])
    assert measurement(asked, watch.steps, 64, [ALONE], 0.5) == measured([0.5, 0.25, 0.125, 0.25, 0.5])


def test_every_step_is_returned_without_its_pauses_measured_or_not() -> None:
    watch, clock = Stopwatch(window(warmup=2, batches=2)), Clock()
    watch.start(clock.now)
    returned = [watch.step_ended(clock.after(2.0), 0.0)]
    watch.pause(clock.now)
    watch.resume(clock.after(9.0))
    returned += [watch.step_ended(clock.after(0.5), 0.0) for _ in range(4)]
    assert returned == [exactly(2.0), *[exactly(0.5)] * 4]


def test_with_a_warm_up_in_seconds_the_window_opens_at_the_first_step_that_ends_after_them() -> None:
    watch = Stopwatch(window(warmup=1, batches=3, seconds=5))
    run(watch, Clock(), [2.0, 2.0, 2.0, 0.1, 0.2, 0.3])
    assert watch.warmup_steps == 3
    assert watch.steps == [exactly(0.1), exactly(0.2), exactly(0.3)]


@pytest.mark.parametrize("ended", [0, 1, 2, 3, 6])
def test_an_incomplete_window_gives_no_measurement(ended: int) -> None:
    asked = window(warmup=2, batches=5)
    watch = Stopwatch(asked)
    run(watch, Clock(), [0.5] * ended)
    assert watch.state is not WindowState.COMPLETE
    with pytest.raises(WindowIncomplete, match=f"after {max(0, ended - 2)} of 5 batches"):
        measurement(asked, watch.steps, 64, [ALONE], 0.5)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_gives_no_measurement(loss: float) -> None:
    with pytest.raises(LossNotFinite, match=f"The loss is {loss} at the end of the window"):
        measured([0.5] * 4, loss=loss)
    with pytest.raises(LossNotFinite, match=f"The loss is {loss} after step 3"):
        finite(loss, "after step 3")
    assert finite(-0.25, "after step 3") == -0.25


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([3.0], (3.0,)),
        ([1.0, 2.0, 4.0], (1.0, 2.0, 4.0)),
        ([float(step) for step in range(10)], tuple(float(step) for step in range(10))),
        ([float(step) for step in range(11)], (*(float(step) for step in range(9)), 9.5)),
        ([float(step) for step in range(20)], tuple(2.0 * block + 0.5 for block in range(10))),
        ([float(step) for step in range(25)], (0.5, 3.0, 5.5, 8.0, 10.5, 13.0, 15.5, 18.0, 20.5, 23.0)),
    ],
)
def test_the_lengths_of_blocks_differ_by_at_most_one_step(steps: list[float], expected: tuple[float, ...]) -> None:
    assert block_means(steps) == tuple(exactly(mean) for mean in expected)


@pytest.mark.parametrize(
    ("own", "stolen", "limit", "disturbed"),
    [(500, 0, "0.1", False), (500, 0, "0", False), (400, 0, "0.1", False), (400, 1, "0.1", True), (0, 500, "1", False)],
)
def test_a_window_is_disturbed_if_other_processes_and_the_hypervisor_take_more_than_allowed(
    own: int, stolen: int, limit: str, disturbed: bool
) -> None:
    rank = replace(ALONE, cpu=CpuDelta("here", busy=500, stolen=stolen, total=1000, own=own))
    result = measured([0.5] * 4, [rank], foreign=limit)
    assert result.foreign_cpu_ratio == exactly((500 - own) / 1000)
    assert result.steal_ratio == exactly(stolen / 1000)
    assert result.disturbed is disturbed


def test_an_unreadable_load_is_absent_and_the_window_not_disturbed() -> None:
    result = measured([0.5] * 4, foreign="0")
    assert (result.foreign_cpu_ratio, result.steal_ratio, result.disturbed) == (None, None, False)
