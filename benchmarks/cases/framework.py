"""Measures how much time Composer and our measuring add to a step of about 100 ms."""

from statistics import median

from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.comparison import Estimate, Pair, estimate, interleaved, times_larger
from benchmarks.plain import training as plain
from benchmarks.results import at_most, paired_finding
from benchmarks.trained import SMOOTHING, fresh_parts, tiny_run, trained
from sdbench_trainer.run import RunConfig

STEP_SECONDS = 0.1
OVERHEAD_PERCENT = 3.0
TURNS = 16
WARM_UP = 3
STEPS = 20
TRIED = (8, 24)


def plain_step_seconds(run: RunConfig) -> list[float]:
    """The seconds of each step of the plain loop after its warm-up, on a fresh model."""
    parts, window = fresh_parts(run), run.trainer.window
    averages = [weight.detach().clone() for weight in parts.model.parameters()]
    steps = window.warmup_batches + window.batches
    seconds = plain.train(parts.model, iter(parts.loader), parts.optimizer, averages, SMOOTHING, steps)
    return seconds[window.warmup_batches :]


def segment(batch: int, steps: int) -> RunConfig:
    """A short run with this batch size."""
    return tiny_run(batch, window={"warmupBatches": WARM_UP, "batches": steps})


def fitting_batch(steps: int) -> int:
    """The batch size whose step takes STEP_SECONDS on this machine, on the line through two sizes that are tried.

    The fastest step of each size counts, because other processes can only slow a step down.
    """
    low, high = (min(plain_step_seconds(segment(batch, steps))) for batch in TRIED)
    slope = max((high - low) / (TRIED[1] - TRIED[0]), 1e-4)
    return max(1, round(TRIED[0] + (STEP_SECONDS - low) / slope))


def percent_more(pairs: tuple[Pair, ...]) -> Estimate:
    """The percentage by which ours takes longer."""
    ratio = times_larger(pairs)
    low, high = (None if end is None else 100.0 * (end - 1.0) for end in (ratio.low, ratio.high))
    return Estimate(100.0 * (ratio.value - 1.0), low, high)


def measure(context: CaseContext) -> CaseFindings:
    """Compares the median steps of segments of the plain loop and of the trainer's `fit`, each on a fresh model."""
    steps = 3 if context.quick else STEPS
    run = segment(TRIED[0] if context.quick else fitting_batch(steps), steps)

    def ours() -> float:
        return trained(run, context.folder).step_seconds.p50

    pairs = interleaved(lambda: median(plain_step_seconds(run)), ours, context.turns(TURNS), context.report_progress)
    fixed = estimate(1e3 * (pair.ours - pair.plain) for pair in pairs)
    what = f"median step of a segment, batch {run.trainer.global_batch_size}"
    return CaseFindings(
        (
            paired_finding(
                what,
                pairs,
                scale=1e3,
                unit="ms",
                value=percent_more(pairs),
                value_unit="% more",
                target=at_most(OVERHEAD_PERCENT),
            ),
            paired_finding("the same, in ms per step", pairs, scale=1e3, unit="ms", value=fixed, value_unit="ms more"),
        ),
        (
            f"Each segment has {steps} steps after a warm-up of {WARM_UP}. The cost does not depend on the length of "
            "a step: for a step of one second the percentage is a tenth.",
        ),
    )


CASE = Case(
    "framework",
    "Composer and our measuring, compared with a hand-written loop",
    "The tiny model on one thread, with a batch size whose step takes about 100 ms on this machine. Plain: a "
    "hand-written loop with a clock. Ours: the trainer's `fit` with Composer, stopwatch, metrics and heartbeats. Both "
    "use the same model, optimizer, average and images.",
    measure,
)
