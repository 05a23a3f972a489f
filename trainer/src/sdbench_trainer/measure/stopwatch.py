"""Measures the window from the times of step ends and pauses, without knowing Composer.

           warm-up                       window                      done
    ──┬───┬───┬───┬───╂───┬───┬─(pause)─┬───┬───┬───╂──►   each mark is the end of a step
                    opened                        closed

Evaluations and checkpoints are pauses. docs/measurement.md has every formula.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median, quantiles

from sdbench_trainer.config import Window
from sdbench_trainer.errors import LossNotFinite, WindowIncomplete
from sdbench_trainer.measure.host_load import CpuDelta, worst_load
from sdbench_trainer.report import Measurement, StepSeconds, WindowState

BLOCKS = 10
"""Most parts of the window whose mean steps are kept, to show where it was slow."""


@dataclass
class Stopwatch:
    """Follows a run from step to step. All ranks open and close the window at the same step."""

    window: Window
    state: WindowState = WindowState.WARM_UP
    steps: list[float] = field(default_factory=list)
    """Seconds of each measured step."""
    warmup_steps: int = 0
    _last_end: float = 0.0
    _paused: float = 0.0
    _pause_began: float | None = None

    def opens(self, trained_seconds: float) -> bool:
        """Whether the step that ends now is the last of the warm-up; `trained_seconds` is the same on all ranks."""
        if self.state is not WindowState.WARM_UP or self.warmup_steps + 1 < self.window.warmup_batches:
            return False
        return trained_seconds >= self.window.warmup_seconds

    def closes(self) -> bool:
        """Whether the step that ends now is the last of the window."""
        return self.state is WindowState.MEASURING and len(self.steps) + 1 == self.window.batches

    def start(self, now: float) -> None:
        """Notes that the first step begins."""
        self._last_end = now

    def step_ended(self, now: float, trained_seconds: float) -> float:
        """Notes the end of a step, measured or not, and returns its seconds without pauses."""
        # From the end of the step before, so that waiting for data and starting an epoch are part of the step.
        seconds = now - self._last_end - self._paused
        self._last_end, self._paused = now, 0.0
        if self.state is WindowState.MEASURING:
            self.state = WindowState.COMPLETE if self.closes() else self.state
            self.steps.append(seconds)
        elif self.state is WindowState.WARM_UP:
            self.state = WindowState.MEASURING if self.opens(trained_seconds) else self.state
            self.warmup_steps += 1
        return seconds

    def pause(self, now: float) -> None:
        """Stops counting until `resume`."""
        if self._pause_began is None:
            self._pause_began = now

    def resume(self, now: float) -> None:
        """Continues counting; does nothing without a pause."""
        if self._pause_began is not None:
            self._paused += now - self._pause_began
            self._pause_began = None


@dataclass(frozen=True)
class RankWindow:
    """What one rank contributes to the Measurement."""

    wait_seconds: float
    """Time that it waited for its own loader in the window."""
    forward_seconds: float
    """Time from the start of each forward pass to the start of its backward pass, before any rank waits for another."""
    host_memory_peak_bytes: int
    """Peak memory of the rank's process since it started."""
    device_memory_peak_bytes: int | None = None
    """Peak memory of its device in the window."""
    cpu: CpuDelta | None = None
    """CPU time of its host and its session in the window; None if unreadable."""
    replaced_samples: int = 0
    """Unreadable samples in the whole run, each replaced by another."""


def finite(loss: float, when: str) -> float:
    """The loss if it is finite. Raises LossNotFinite, with `when` in its message, otherwise."""
    if not math.isfinite(loss):
        raise LossNotFinite(f"The loss is {loss} {when}.")
    return loss


def drift_ratio(steps: Sequence[float]) -> float:
    """Mean step of the last third over mean step of the first third, minus 1; a third has at least one step."""
    third = max(1, len(steps) // 3)
    return fmean(steps[-third:]) / fmean(steps[:third]) - 1.0


def rank_skew_ratio(ranks: Sequence[RankWindow]) -> float:
    """Own work before the first collective, data wait and forward pass: slowest rank over median rank."""
    # After the first collective, every rank takes as long as the slowest.
    own = [rank.wait_seconds + rank.forward_seconds for rank in ranks]
    middle = median(own)
    return max(own) / middle if middle > 0 else 1.0


def block_means(steps: Sequence[float]) -> tuple[float, ...]:
    """Mean step of up to BLOCKS consecutive parts, whose lengths differ by at most one step."""
    parts = min(BLOCKS, len(steps))
    edges = [len(steps) * part // parts for part in range(parts + 1)]
    return tuple(fmean(steps[begin:end]) for begin, end in pairwise(edges))


def measurement(
    window: Window, steps: Sequence[float], global_batch_size: int, ranks: Sequence[RankWindow], loss: float
) -> Measurement:
    """The Measurement of a complete window, from the seconds of rank 0's steps and what each rank contributes.

    Raises WindowIncomplete if steps are missing, LossNotFinite if the last loss is not finite.
    """
    if len(steps) != window.batches:
        raise WindowIncomplete(f"The training ended after {len(steps)} of {window.batches} batches of its window.")
    # Without rounding errors that grow with the number of steps.
    seconds = math.fsum(steps)
    images = len(steps) * global_batch_size
    waits = [rank.wait_seconds / seconds for rank in ranks]
    device_peaks = [rank.device_memory_peak_bytes for rank in ranks if rank.device_memory_peak_bytes is not None]
    load = worst_load([rank.cpu for rank in ranks])
    # Twentieths, linear between neighbours as numpy's default: the first is p5, the last p95.
    twentieths = quantiles(steps, n=20, method="inclusive")
    return Measurement(
        batches=len(steps),
        images=images,
        seconds=seconds,
        images_per_second=images / seconds,
        median_images_per_second=global_batch_size / median(steps),
        step_seconds=StepSeconds(p5=twentieths[0], p50=median(steps), p95=twentieths[-1]),
        drift_ratio=drift_ratio(steps),
        rank_skew_ratio=rank_skew_ratio(ranks),
        data_wait_ratio_max=max(waits),
        data_wait_ratio_mean=fmean(waits),
        host_memory_peak_bytes=max(rank.host_memory_peak_bytes for rank in ranks),
        device_memory_peak_bytes=max(device_peaks, default=None),
        loss=finite(loss, "at the end of the window"),
        foreign_cpu_ratio=load.foreign if load else None,
        steal_ratio=load.steal if load else None,
        disturbed=load is not None and load.taken > float(window.max_foreign_cpu_ratio),
        replaced_samples=sum(rank.replaced_samples for rank in ranks),
        block_step_seconds=block_means(steps),
    )
