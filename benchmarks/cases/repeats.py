"""Measures whether our numbers repeat as well as those of a plain loop."""

from collections.abc import Sequence
from statistics import fmean, median, stdev

from benchmarks.case import Answer, Case, Setting
from benchmarks.cases.framework import hand_timed
from benchmarks.comparison import Pair, interleaved, times_larger
from benchmarks.results import at_most, finding
from benchmarks.trained import beating, fresh_parts, tiny_run
from sdbench_trainer.measure.metrics import Telemetry
from sdbench_trainer.train import fit

RATIO = 1.5
SERIES = 6
REPEATS = 5
WARM_UP = 3
STEPS = 80


def variation(values: list[float]) -> float:
    """Standard deviation over mean."""
    return stdev(values) / fmean(values)


def variations(rates: Sequence[Pair]) -> Pair:
    """The variation of each way's repeats."""
    return Pair(plain=variation([rate.plain for rate in rates]), ours=variation([rate.ours for rate in rates]))


def answer(setting: Setting) -> Answer:
    """Series of five repeats of each way, in turns, and the CV of their median images/s."""
    steps = 3 if setting.quick else STEPS
    repeats = 2 if setting.quick else REPEATS
    run = tiny_run(window={"warmupBatches": WARM_UP, "batches": steps})
    images = run.trainer.global_batch_size

    def ours() -> float:
        measured = fit(run, fresh_parts(run), beating(setting.folder), Telemetry("tiny", device_memory=False))
        return measured.median_images_per_second

    def plainly() -> float:
        return images / median(hand_timed(run))

    series = [variations(interleaved(plainly, ours, repeats, setting.news)) for _ in range(setting.turns(SERIES))]
    return Answer(
        (
            finding(
                f"CV of {repeats} repeats of {steps} steps, {len(series)} series",
                unit="%",
                plain=100.0 * median(pair.plain for pair in series),
                ours=100.0 * median(pair.ours for pair in series),
                value=times_larger(series),
                value_unit="times theirs",
                target=at_most(RATIO),
            ),
        ),
        (
            "The CV of five values is itself uncertain: of two equal ways one has 1.5 times the other's in one of five "
            "series. Hence several series, and their median.",
        ),
    )


CASE = Case(
    "repeats",
    "Repeats of the tiny point",
    "Coefficient of variation of images/s out of the median step. Plain: the loop by hand with a clock. Ours: the "
    "trainer's `fit` and its Measurement. Each repeat has a fresh model; repeats of both ways take turns.",
    answer,
)
