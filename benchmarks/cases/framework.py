"""Measures what Composer and our instruments add to a step of about 100 ms."""

from statistics import median

from benchmarks.case import Answer, Case, Setting
from benchmarks.comparison import Estimate, Pair, estimate, interleaved, times_larger
from benchmarks.plain import training as plain
from benchmarks.results import at_most, finding
from benchmarks.trained import SMOOTHING, beating, fresh_parts, tiny_run
from sdbench_trainer.measure.metrics import Telemetry
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import fit

STEP_SECONDS = 0.1
OVERHEAD_PERCENT = 3.0
TURNS = 16
WARM_UP = 3
STEPS = 20
TRIED = (8, 24)


def hand_timed(run: RunConfig) -> list[float]:
    """Seconds of each step of the plain loop after its warm-up, on a fresh model."""
    parts, window = fresh_parts(run), run.trainer.window
    averages = [weight.detach().clone() for weight in parts.model.parameters()]
    steps = window.warmup_batches + window.batches
    seconds = plain.train(parts.model, iter(parts.loader), parts.optimizer, averages, SMOOTHING, steps)
    return seconds[window.warmup_batches :]


def segment(batch: int, steps: int) -> RunConfig:
    """A short run with this batch."""
    return tiny_run(batch, window={"warmupBatches": WARM_UP, "batches": steps})


def fitting_batch(steps: int) -> int:
    """The batch whose step takes the wanted time on this machine, on the line through two that are tried.

    The quickest step of each, because a neighbour can only slow one down.
    """
    low, high = (min(hand_timed(segment(batch, steps))) for batch in TRIED)
    slope = max((high - low) / (TRIED[1] - TRIED[0]), 1e-4)
    return max(1, round(TRIED[0] + (STEP_SECONDS - low) / slope))


def percent_more(pairs: tuple[Pair, ...]) -> Estimate:
    """By how much ours takes longer."""
    ratio = times_larger(pairs)
    low, high = (None if end is None else 100.0 * (end - 1.0) for end in (ratio.low, ratio.high))
    return Estimate(100.0 * (ratio.value - 1.0), low, high)


def answer(setting: Setting) -> Answer:
    """Segments of the plain loop and of the trainer's `fit`, each on a fresh model; the median step of each."""
    steps = 3 if setting.quick else STEPS
    run = segment(TRIED[0] if setting.quick else fitting_batch(steps), steps)

    def ours() -> float:
        measured = fit(run, fresh_parts(run), beating(setting.folder), Telemetry("tiny", device_memory=False))
        return measured.step_seconds.p50

    pairs = interleaved(lambda: median(hand_timed(run)), ours, setting.turns(TURNS), setting.news)
    plainly, with_us = (1e3 * median(times) for times in zip(*((pair.plain, pair.ours) for pair in pairs), strict=True))
    fixed = estimate(1e3 * (pair.ours - pair.plain) for pair in pairs)
    what = f"median step of a segment, batch {run.trainer.global_batch_size}"
    return Answer(
        (
            finding(
                what,
                unit="ms",
                plain=plainly,
                ours=with_us,
                value=percent_more(pairs),
                value_unit="% more",
                target=at_most(OVERHEAD_PERCENT),
            ),
            finding(
                "the same, as a cost of each step",
                unit="ms",
                plain=plainly,
                ours=with_us,
                value=fixed,
                value_unit="ms more",
            ),
        ),
        (
            f"Segments of {steps} steps after a warm-up of {WARM_UP}. The cost is one of each step, whatever the step "
            "does: of a step of a second it is a tenth of this share.",
        ),
    )


CASE = Case(
    "framework",
    "Composer and our measuring, over a loop by hand",
    "The tiny model on one thread, its batch chosen so that a step takes about 100 ms on this machine. Plain: a loop "
    "by hand with a clock. Ours: the trainer's `fit` with Composer, stopwatch, metrics and beats. Same model, "
    "optimiser, average and images.",
    answer,
)
