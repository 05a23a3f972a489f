"""Measures how much time the stopwatch, the metrics and the heartbeats add to a step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import Any

from composer.core import Callback, Event

from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.cases.framework import STEP_SECONDS
from benchmarks.comparison import estimate
from benchmarks.results import at_most, finding
from benchmarks.trained import tiny_run, trained
from sdbench_trainer.measure.callback import WindowCallback

SHARE_PERCENT = 0.05
WARM_UP = 5
STEPS = 150


@contextmanager
def timed_events(seconds: list[float]) -> Iterator[None]:
    """Adds up the time in the hooks that the callback defines for each step, from one BATCH_END to the next.

    Hooks that the callback does not define are Composer's cost, which the case `framework` measures.
    """
    original = WindowCallback.run_event
    defined = {event for event in Event if getattr(WindowCallback, event.value) is not getattr(Callback, event.value)}
    spent = 0.0

    def run_event(self: WindowCallback, event: Event, state: Any, logger: Any) -> None:
        nonlocal spent
        started = time.perf_counter()
        original(self, event, state, logger)
        spent += time.perf_counter() - started if event in defined else 0.0
        if event is Event.BATCH_END:
            seconds.append(spent)
            spent = 0.0

    WindowCallback.run_event = run_event
    try:
        yield
    finally:
        WindowCallback.run_event = original


def measure(context: CaseContext) -> CaseFindings:
    """Measures the time inside our hooks in each step of a real training run."""
    steps = 5 if context.quick else STEPS
    run = tiny_run(window={"warmupBatches": WARM_UP, "batches": steps})
    context.report_progress(f"{steps} steps")
    seconds: list[float] = []
    with timed_events(seconds):
        trained(run, context.folder)
    measured = seconds[WARM_UP:]
    p99 = quantiles(measured[:-1], n=100, method="inclusive")[98]
    share = estimate(100.0 * spent / STEP_SECONDS for spent in measured[:-1])
    return CaseFindings(
        (
            finding(
                f"time in our hooks, {len(measured) - 1} steps",
                unit="µs a step",
                ours=1e6 * estimate(measured[:-1]).value,
                value=share,
                value_unit="% of 100 ms",
                target=at_most(SHARE_PERCENT),
            ),
        ),
        (
            f"99 of 100 steps took less than {1e6 * p99:.0f} µs. The window's last step, which ends the measurement, "
            "is not counted.",
        ),
    )


CASE = Case(
    "telemetry",
    "Stopwatch, metrics and heartbeats",
    "The total time per step in the hooks of our callback during a real training run, with the CPU caches as training "
    "leaves them. Hooks that the callback does not define belong to the case `framework`. There is no plain version, "
    "because it would measure nothing.",
    measure,
)
