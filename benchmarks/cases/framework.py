"""What do Composer and our measuring add to a step of about 100 ms?"""

from statistics import median

from benchmarks.case import Answer, Case, Setting
from benchmarks.comparison import estimate, interleaved, times_larger
from benchmarks.plain import training as plain
from benchmarks.results import at_most, finding
from benchmarks.trained import SMOOTHING, beating, fresh_parts, tiny_run
from sdbench_trainer.telemetry import Telemetry
from sdbench_trainer.train import fit

OVERHEAD_PERCENT = 3.0
TURNS = 16
WARM_UP = 3
STEPS = 20


def hand_timed(warmup: int, steps: int) -> list[float]:
    """Seconds of each step of the plain loop, on a fresh model."""
    parts = fresh_parts(tiny_run())
    averages = [weight.detach().clone() for weight in parts.model.parameters()]
    batches = iter(parts.loader)
    seconds = plain.train(parts.model, batches, parts.optimizer, averages, SMOOTHING, warmup + steps)
    return seconds[warmup:]


def answer(setting: Setting) -> Answer:
    """Segments of the plain loop and of the trainer's `fit`, each on a fresh model; the median step of each."""
    steps = 3 if setting.quick else STEPS
    run = tiny_run(window={"warmupBatches": WARM_UP, "batches": steps})

    def ours() -> float:
        measured = fit(run, fresh_parts(run), beating(setting.folder), Telemetry("tiny", device_memory=False))
        return measured.step_seconds.p50

    pairs = interleaved(lambda: median(hand_timed(WARM_UP, steps)), ours, setting.turns(TURNS), setting.news)
    more = times_larger(pairs)
    bounds = [None if ratio is None else 100.0 * (ratio - 1.0) for ratio in (more.low, more.high)]
    fixed = estimate(1e3 * (pair.ours - pair.plain) for pair in pairs)
    plainly, with_us = (1e3 * median(times) for times in zip(*((pair.plain, pair.ours) for pair in pairs), strict=True))
    return Answer(
        (
            finding(
                f"median step of segments of {steps} steps",
                unit="ms",
                plain=plainly,
                ours=with_us,
                value=type(more)(100.0 * (more.value - 1.0), *bounds),
                value_unit="% more",
                target=at_most(OVERHEAD_PERCENT),
            ),
            finding(
                "the same, as a fixed cost",
                unit="ms",
                plain=plainly,
                ours=with_us,
                value=fixed,
                value_unit="ms more",
            ),
        ),
        ("Composer's cost is per step, whatever the step does: about 1 % of a step of 300 ms.",),
    )


CASE = Case(
    "framework",
    "Composer and our measuring, over a loop by hand",
    "The tiny model on one thread, its batch chosen for steps of about 100 ms. Plain: a loop by hand with a clock. "
    "Ours: the trainer's `fit` with Composer, stopwatch, metrics and beats. Same model, optimiser, average and images.",
    answer,
)
