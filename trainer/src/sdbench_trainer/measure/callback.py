"""Connects Composer's loop to the stopwatch, the metrics and PID 1, in one callback."""

# ruff: noqa: ARG002 - Composer passes more to its hooks than they need

import math
import time
from collections.abc import Callable

import torch
from composer.core import Callback, State
from composer.loggers import Logger

from sdbench_trainer.config import Window
from sdbench_trainer.data.timed_loader import TimedLoader
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.measure.forward_timer import ForwardClock, cuda_mark
from sdbench_trainer.measure.host_load import CpuReading, cpu_delta, read_cpu
from sdbench_trainer.measure.metrics import Telemetry, host_memory_peak_bytes
from sdbench_trainer.measure.stopwatch import RankWindow, Stopwatch, finite
from sdbench_trainer.report import WindowState

NEVER = "1000000000000ba"
"""The Trainer's max_duration: the callback ends the training, not the number of batches."""

MEMORY_STEPS = 20
"""Steps between two readings of the device's peak memory, which cost more than all other telemetry."""


class WindowCallback(Callback):  # type: ignore[misc]
    """Measures steps, reports them, and ends the training when the window is complete."""

    def __init__(
        self,
        window: Window,
        loader: TimedLoader,
        images_per_step: int,
        pulse: HeartbeatWriter,
        telemetry: Telemetry | None,
    ) -> None:
        self.stopwatch = Stopwatch(window)
        self.rank_window: RankWindow | None = None
        """What this rank contributes to the Measurement, once the window is complete."""
        self.loss = math.nan
        """The loss of the last step in the window."""
        self._loader = loader
        self._images = images_per_step
        self._pulse = pulse
        self._telemetry = telemetry
        # Only if the training uses the GPU: the trainer may run on the CPUs of a machine that has one.
        self._cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._forward = ForwardClock(cuda_mark if self._cuda else None)
        self._clock: Callable[[], float] = time.perf_counter
        self._checkpoint_began = 0.0
        self._saving = False
        self._steps = 0
        self._waited_at_opening = 0.0
        self._cpu_at_opening: CpuReading | None = None

    def fit_start(self, state: State, logger: Logger) -> None:
        self._pulse.enter(RankPhase.TRAINING)
        self.stopwatch.start(self._clock())

    # The marks tell the watchdog how far in its step a rank is that hangs.

    def before_forward(self, state: State, logger: Logger) -> None:
        self._forward.begin()
        self._pulse.mark()

    def before_backward(self, state: State, logger: Logger) -> None:
        self._forward.end()
        self._pulse.mark()

    def after_backward(self, state: State, logger: Logger) -> None:
        self._pulse.mark()

    def batch_end(self, state: State, logger: Logger) -> None:
        """Notes the end of a step: Composer runs callbacks at BATCH_END after the algorithms, such as the average."""
        # Composer averages the loss over all ranks, so one rank's NaN ends the run on every rank.
        loss = finite(float(state.total_loss_dict["loss/train/total"]), f"after step {state.timestamp.batch.value}")
        warming_up = self.stopwatch.state is WindowState.WARM_UP
        trained = state.timestamp.total_wct.total_seconds() if warming_up else 0.0
        opens, closes = self.stopwatch.opens(trained), self.stopwatch.closes()
        # Only at the edges of the window: waiting for the device after every step would slow the training down.
        if self._cuda and (opens or closes):
            torch.cuda.synchronize()
        # What is read once for the window is read just outside it: before it opens, and after it has closed.
        if opens:
            self._forward.reset()
            self._waited_at_opening = self._loader.waited
            if self._cuda:
                # The warm-up may have tried microbatches that do not fit.
                torch.cuda.reset_peak_memory_stats()
            self._cpu_at_opening = read_cpu()
        seconds = self.stopwatch.step_ended(self._clock(), trained)
        if closes:
            self.loss = loss
            self.rank_window = RankWindow(
                wait_seconds=self._loader.waited - self._waited_at_opening,
                forward_seconds=self._forward.seconds(),
                host_memory_peak_bytes=host_memory_peak_bytes(),
                device_memory_peak_bytes=torch.cuda.max_memory_allocated() if self._cuda else None,
                cpu=cpu_delta(self._cpu_at_opening, read_cpu()),
                replaced_samples=self._loader.replaced.on_this_rank,
            )
            state.stop_training()
        self._pulse.step()
        self._steps += 1
        if self._telemetry is not None:
            self._telemetry.step(seconds, self._images, self._loader.waited, loss, self.stopwatch.state)
            if self._cuda and (self._steps % MEMORY_STEPS == 0 or closes):
                self._telemetry.memory(torch.cuda.max_memory_allocated())
        self._forward.settle()

    # Evaluations and checkpoints are pauses.

    def eval_before_all(self, state: State, logger: Logger) -> None:
        self.stopwatch.pause(self._clock())

    def eval_after_all(self, state: State, logger: Logger) -> None:
        self.stopwatch.resume(self._clock())

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        """Notes the time: the callbacks that run after this one may save a checkpoint."""
        self._checkpoint_began = self._clock()

    epoch_checkpoint = batch_checkpoint

    def state_dict(self) -> dict[str, float]:
        """An empty state. Composer asks for it only while it saves a checkpoint, so this step has a pause."""
        self._saving = True
        return {}

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Counts the checkpoint that was saved since the last step, if there was one, as a pause."""
        if self._saving:
            self.stopwatch.pause(self._checkpoint_began)
            self.stopwatch.resume(self._clock())
            self._saving = False

    # An epoch that ends with the step reaches these events first. Restarting the loader is part of the step.
    epoch_end = epoch_start = before_dataloader
