"""Measures whether our numbers repeat as well as those of a plain loop."""

from collections.abc import Sequence
from statistics import fmean, median, stdev

from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.cases.framework import plain_step_seconds
from benchmarks.comparison import Pair, interleaved, times_larger
from benchmarks.results import at_most, paired_finding
from benchmarks.trained import tiny_run, trained

RATIO = 1.5
SERIES = 6
REPEATS = 5
WARM_UP = 3
STEPS = 80


def variation(values: list[float]) -> float:
    """The coefficient of variation: the standard deviation divided by the mean."""
    return stdev(values) / fmean(values)


def variations(rates: Sequence[Pair]) -> Pair:
    """The variation of the repeats of each implementation."""
    return Pair(plain=variation([rate.plain for rate in rates]), ours=variation([rate.ours for rate in rates]))


def measure(context: CaseContext) -> CaseFindings:
    """Compares the CV of the median images/s over series of repeats."""
    steps = 3 if context.quick else STEPS
    repeats = 2 if context.quick else REPEATS
    run = tiny_run(window={"warmupBatches": WARM_UP, "batches": steps})
    images = run.trainer.global_batch_size

    def ours() -> float:
        return trained(run, context.folder).median_images_per_second

    def run_plain() -> float:
        return images / median(plain_step_seconds(run))

    series = [
        variations(interleaved(run_plain, ours, repeats, context.report_progress)) for _ in range(context.turns(SERIES))
    ]
    return CaseFindings(
        (
            paired_finding(
                f"CV of {repeats} repeats of {steps} steps, {len(series)} series",
                series,
                scale=100.0,
                unit="%",
                value=times_larger(series),
                value_unit="times the plain CV",
                target=at_most(RATIO),
            ),
        ),
        (
            "The CV of five values is itself uncertain: in one of five series one of two equal implementations has 1.5 "
            "times the other's CV. Hence the median of several series.",
        ),
    )


CASE = Case(
    "repeats",
    "Repeatability of the tiny Point",
    "Coefficient of variation (CV) of images/s, computed from the median step. Plain: the hand-written loop with a "
    "clock. Ours: the trainer's `fit` and its Measurement. Each repeat has a fresh model, and both take turns.",
    measure,
)
