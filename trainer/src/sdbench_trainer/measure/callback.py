"""Connects Composer's loop to the stopwatch, the metrics and PID 1, in one callback.

The edge of a step is BATCH_END: algorithms (the EMA) have run, callbacks run after them. The device is synchronised at
the two edges of the window only. What is read once (load, memory) is read just outside them.
"""

# ruff: noqa: ARG002 - Composer gives its hooks more than they need

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from composer.core import Callback, State
from composer.loggers import Logger

from sdbench_trainer.config import Window
from sdbench_trainer.data.timed_loader import TimedLoader
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.measure.forward_timer import ForwardClock, cuda_mark
from sdbench_trainer.measure.host_load import CpuDelta, CpuReading, cpu_delta, read_cpu
from sdbench_trainer.measure.metrics import Telemetry
from sdbench_trainer.measure.stopwatch import Stopwatch, finite
from sdbench_trainer.report import WindowState

NEVER = "1000000000000ba"
"""The duration to give to the Trainer: the watch ends the training when the window is complete."""

MEMORY_STEPS = 20
"""Steps from one look at the device's memory to the next: it costs more than all other telemetry."""


@dataclass(frozen=True)
class WindowSamples:
    """What one rank has of a complete window."""

    steps: tuple[float, ...]
    wait_seconds: float
    forward_seconds: float
    device_memory_peak_bytes: int | None
    cpu: CpuDelta | None
    loss: float


class WindowCallback(Callback):  # type: ignore[misc]
    """Feeds the stopwatch, beats, counts, and ends the training when the window is complete."""

    def __init__(
        self,
        window: Window,
        loader: TimedLoader,
        images_per_step: int,
        pulse: HeartbeatWriter,
        telemetry: Telemetry | None,
    ) -> None:
        self.stopwatch = Stopwatch(window)
        self.seen: WindowSamples | None = None
        self._loader = loader
        self._images = images_per_step
        self._pulse = pulse
        self._telemetry = telemetry
        self._cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._forward = ForwardClock(cuda_mark if self._cuda else None)
        self._clock: Callable[[], float] = time.perf_counter
        self._checkpoint_began = 0.0
        self._saving = False
        self._steps = 0
        self._waited_at_opening = 0.0
        self._read_at_opening: CpuReading | None = None

    def fit_start(self, state: State, logger: Logger) -> None:
        """The first step begins."""
        self._pulse.enter(RankPhase.TRAINING)
        self.stopwatch.start(self._clock())

    def before_forward(self, state: State, logger: Logger) -> None:
        """Composer's event."""
        self._forward.begin()
        self._pulse.mark()

    def before_backward(self, state: State, logger: Logger) -> None:
        """Composer's event."""
        self._forward.end()
        self._pulse.mark()

    def after_backward(self, state: State, logger: Logger) -> None:
        """Composer's event."""
        self._pulse.mark()

    def batch_end(self, state: State, logger: Logger) -> None:
        """The edge of a step."""
        loss = _loss(state)
        if not math.isfinite(loss):
            finite(loss, f"after step {int(state.timestamp.batch)}")
        warming_up = self.stopwatch.state is WindowState.WARM_UP
        trained = state.timestamp.total_wct.total_seconds() if warming_up else 0.0
        opens, closes = self.stopwatch.opens(trained), self.stopwatch.closes()
        if self._cuda and (opens or closes):
            torch.cuda.synchronize()
        if opens:
            self._open()
        seconds = self.stopwatch.step_ended(self._clock(), trained)
        if closes:
            self.seen = self._all_seen(loss)
            state.stop_training()
        self._pulse.step()
        if self._telemetry is not None:
            self._telemetry.step(seconds, self._images, self._loader.waited, loss, self.stopwatch.state)
        if self._cuda:
            self._settle()

    def _open(self) -> None:
        """What the window counts begins at zero; the peak of memory too, for the warm-up may try what will not fit."""
        self._forward.reset()
        self._waited_at_opening = self._loader.waited
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        self._read_at_opening = read_cpu()

    def _all_seen(self, loss: float) -> WindowSamples:
        return WindowSamples(
            steps=tuple(self.stopwatch.steps),
            wait_seconds=self._loader.waited - self._waited_at_opening,
            forward_seconds=self._forward.seconds(),
            device_memory_peak_bytes=torch.cuda.max_memory_allocated() if self._cuda else None,
            cpu=cpu_delta(self._read_at_opening, read_cpu()),
            loss=loss,
        )

    def _settle(self) -> None:
        """What is asked of a GPU after each step, and what only now and then."""
        self._forward.settle()
        self._steps += 1
        if self._telemetry is not None and (self._steps % MEMORY_STEPS == 0 or self.seen is not None):
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
    """The step's loss: Composer's sum over all ranks by their number, so that one rank's NaN is everybody's."""
    return float(state.total_loss_dict["loss/train/total"])
