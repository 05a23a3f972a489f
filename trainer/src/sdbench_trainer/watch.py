"""How does Composer's loop reach the stopwatch, the metrics and PID 1? Through one callback.

The edge of a step is BATCH_END: algorithms (the EMA) have run, callbacks run after them. The device is synchronised at
the two edges of the window only.
"""

# ruff: noqa: ARG002 - Composer gives its hooks more than they need

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from composer.core import Callback, State
from composer.loggers import Logger

from sdbench_trainer.beats import Phase, Pulse
from sdbench_trainer.config import Window
from sdbench_trainer.failures import LossNotFinite
from sdbench_trainer.loader import TimedLoader
from sdbench_trainer.stopwatch import Stopwatch
from sdbench_trainer.telemetry import Telemetry

NEVER = "1000000000000ba"
"""The duration to give to the Trainer: the watch ends the training when the window is complete."""


class ForwardClock:
    """Seconds from the start of each forward pass to the start of its backward pass.

    On CUDA by events, which are read at the end of the window: the host's clock would time the launches only.
    """

    def __init__(self, cuda: bool) -> None:
        self._cuda = cuda
        self._began = 0.0
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()  # type: ignore[no-untyped-call]
        return event

    def begin(self) -> None:
        """A forward pass begins."""
        if self._cuda:
            start = self._event()
            self._events.append((start, start))
        else:
            self._began = time.perf_counter()

    def end(self) -> None:
        """Its backward pass begins."""
        if self._cuda:
            self._events[-1] = (self._events[-1][0], self._event())
        else:
            self._seconds += time.perf_counter() - self._began

    def reset(self) -> None:
        """Forget everything: the window opens."""
        self._seconds, self._events = 0.0, []

    def seconds(self) -> float:
        """The sum; the device has to be synchronised."""
        milliseconds = (start.elapsed_time(end) for start, end in self._events)  # type: ignore[no-untyped-call]
        return self._seconds + float(sum(milliseconds)) / 1000.0


@dataclass(frozen=True)
class Seen:
    """What one rank has of a complete window."""

    steps: tuple[float, ...]
    wait_seconds: float
    forward_seconds: float
    loss: float


class Watch(Callback):  # type: ignore[misc]
    """Feeds the stopwatch, beats, counts, and ends the training when the window is complete."""

    def __init__(
        self, window: Window, loader: TimedLoader, images_per_step: int, pulse: Pulse, telemetry: Telemetry | None
    ) -> None:
        self.stopwatch = Stopwatch(window)
        self.seen: Seen | None = None
        self._loader = loader
        self._images = images_per_step
        self._pulse = pulse
        self._telemetry = telemetry
        self._cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._forward = ForwardClock(self._cuda)
        self._clock: Callable[[], float] = time.perf_counter
        self._last_end = self._checkpoint_began = 0.0
        self._saving = False
        self._waited = self._waited_at_opening = 0.0

    def fit_start(self, state: State, logger: Logger) -> None:
        """The first step begins."""
        self._pulse.enter(Phase.TRAINING)
        self._last_end = self._clock()

    def before_forward(self, state: State, logger: Logger) -> None:
        """Composer's event."""
        self._forward.begin()

    def before_backward(self, state: State, logger: Logger) -> None:
        """Composer's event."""
        self._forward.end()

    def batch_end(self, state: State, logger: Logger) -> None:
        """The edge of a step."""
        loss = _loss(state)
        trained = state.timestamp.total_wct.total_seconds()
        opens, closes = self.stopwatch.opens(trained), self.stopwatch.closes()
        if self._cuda and (opens or closes):
            torch.cuda.synchronize()
        now = self._clock()
        seconds = self.stopwatch.step_ended(now, trained)
        self._pulse.step()
        self._count(now - self._last_end if seconds is None else seconds, loss)
        self._last_end = now
        if opens:
            self._forward.reset()
            self._waited_at_opening = self._loader.waited
        if closes:
            wait = self._loader.waited - self._waited_at_opening
            self.seen = Seen(tuple(self.stopwatch.steps), wait, self._forward.seconds(), loss)
            state.stop_training()

    def _count(self, seconds: float, loss: float) -> None:
        waited, self._waited = self._loader.waited - self._waited, self._loader.waited
        if self._telemetry is not None:
            self._telemetry.step(seconds, self._images, waited, loss, self.stopwatch.state)
            if self._cuda:
                self._telemetry.memory(torch.cuda.max_memory_allocated())

    def eval_before_all(self, state: State, logger: Logger) -> None:
        """Evaluation is a pause."""
        self.stopwatch.pause(self._clock())

    def eval_after_all(self, state: State, logger: Logger) -> None:
        """Evaluation is over."""
        self.stopwatch.resume(self._clock())

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        """A checkpoint may be saved now, by callbacks after this one."""
        self._checkpoint_began = self._clock()

    def epoch_checkpoint(self, state: State, logger: Logger) -> None:
        """As above, at the end of an epoch."""
        self._checkpoint_began = self._clock()

    def state_dict(self) -> dict[str, float]:
        """Composer asks for this only while it saves a checkpoint: so this step has a pause."""
        self._saving = True
        return {}

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Whatever was saved is saved."""
        self._saved()

    def epoch_end(self, state: State, logger: Logger) -> None:
        """As above: this comes first where the epoch ends with the step."""
        self._saved()

    def epoch_start(self, state: State, logger: Logger) -> None:
        """As above, after a checkpoint at the end of an epoch; starting the loader again is no pause."""
        self._saved()

    def _saved(self) -> None:
        if self._saving:
            self.stopwatch.pause(self._checkpoint_began)
            self.stopwatch.resume(self._clock())
            self._saving = False


def _loss(state: State) -> float:
    """The step's loss, mean of all ranks; raises LossNotFinite."""
    losses = state.total_loss_dict
    loss = float(next(iter(losses.values()))) if losses else 0.0
    if not math.isfinite(loss):
        raise LossNotFinite(f"The loss is {loss} after step {int(state.timestamp.batch)}.")
    return loss
