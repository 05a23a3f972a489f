"""Measures what the stopwatch, the metrics and the heartbeats add to a step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from composer.core import Callback, Event

from benchmarks.case import Answer, Case, Setting
from benchmarks.comparison import estimate
from benchmarks.results import at_most, finding
from benchmarks.trained import beating, fresh_parts, tiny_run
from sdbench_trainer.measure.callback import WindowCallback
from sdbench_trainer.measure.metrics import Telemetry
from sdbench_trainer.measure.stopwatch import percentile
from sdbench_trainer.train import fit

STEP_SECONDS = 0.1
SHARE_PERCENT = 0.05
WARM_UP = 5
STEPS = 150


@contextmanager
def timed_events(seconds: list[float]) -> Iterator[None]:
    """While it is open, the time in the watch's own hooks is added up for each step, from one BATCH_END to the next.

    Hooks that the watch leaves empty are Composer's cost, which the case `framework` has.
    """
    original = WindowCallback.run_event
    own = {event for event in Event if getattr(WindowCallback, event.value) is not getattr(Callback, event.value)}
    spent = 0.0

    def run_event(self: WindowCallback, event: Event, state: Any, logger: Any) -> None:
        nonlocal spent
        began = time.perf_counter()
        original(self, event, state, logger)
        spent += time.perf_counter() - began if event in own else 0.0
        if event is Event.BATCH_END:
            seconds.append(spent)
            spent = 0.0

    WindowCallback.run_event = run_event
    try:
        yield
    finally:
        WindowCallback.run_event = original


def answer(setting: Setting) -> Answer:
    """The time inside our hooks in each step of a real training."""
    steps = 5 if setting.quick else STEPS
    run = tiny_run(window={"warmupBatches": WARM_UP, "batches": steps})
    setting.news(f"{steps} steps")
    seconds: list[float] = []
    with timed_events(seconds):
        fit(run, fresh_parts(run), beating(setting.folder), Telemetry("tiny", device_memory=False))
    measured = seconds[WARM_UP:]
    share = estimate(100.0 * spent / STEP_SECONDS for spent in measured[:-1])
    return Answer(
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
            f"99 of 100 steps took less than {1e6 * percentile(measured[:-1], 0.99):.0f} µs. The window's last step, "
            "which ends the measurement, is not among them.",
        ),
    )


CASE = Case(
    "telemetry",
    "Stopwatch, metrics and beats",
    "The time in the hooks of our one callback in each step of a real training, all of them added up, with the caches "
    "as cold as training leaves them; hooks that it leaves empty belong to `framework`. Without it "
    "nothing would be measured, so there is no plain way.",
    answer,
)
