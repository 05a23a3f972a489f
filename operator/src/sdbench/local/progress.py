"""Turns the readings of an Attempt and its row into a Step that can be shown."""

from dataclasses import dataclass

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.format import measured_rate
from sdbench.core.snapshot import CreateJob
from sdbench.local.live_metrics import Reading
from sdbench_trainer.report import WindowState
from sdbench_trainer.run import division


@dataclass(frozen=True)
class Step:
    """The stage of an Attempt, its batches if they are known, and its current rate."""

    stage: str
    done: int = 0
    total: int | None = None
    images_per_second: float | None = None

    @property
    def rate(self) -> str:
        """The rate as in `12.3 images/s`; empty while it is unknown."""
        return f"{self.images_per_second:,.1f} images/s" if self.images_per_second else ""


class WindowProgress:
    """Counts the batches of one Attempt from its readings."""

    def __init__(self, job: CreateJob) -> None:
        self._batch = division(job.run.trainer, job.run.devices).run
        self._window = job.run.trainer.window
        self._images_at_opening: float | None = None
        self._has_served = False

    def step(self, reading: Reading | None) -> Step:
        """The Attempt's Step at this reading."""
        if reading is None:
            # Rank 0 serves only while it trains.
            return Step("finishing" if self._has_served else "starting")
        self._has_served = True
        # The rate is 0 until the first batches are done.
        rate = reading.images_per_second or None
        if reading.window is WindowState.WARM_UP:
            # The warm-up goes on after its batches until its seconds are over.
            done = min(int(reading.images // self._batch), self._window.warmup_batches)
            return Step("warm-up", done, self._window.warmup_batches, rate)
        if reading.window is WindowState.COMPLETE:
            return Step("measured", self._window.batches, self._window.batches, rate)
        # The metrics count images since the start, and the window's batches begin after the warm-up.
        if self._images_at_opening is None:
            self._images_at_opening = reading.images
        done = int((reading.images - self._images_at_opening) // self._batch)
        return Step("measuring", min(done, self._window.batches), self._window.batches, rate)


def title(row: TrialRow, benchmark: Benchmark) -> str:
    """The Trial's index and Point, with its repeat and attempt if there are several."""
    repeat = f" repeat {row.repeat}" if benchmark.spec.repeats.most > 1 else ""
    attempt = f" attempt {row.attempt}" if row.attempt > 1 else ""
    return f"Trial {row.trial} {row.point}{repeat}{attempt}"


def outcome_line(row: TrialRow) -> str:
    """The end of a Trial in one line."""
    if row.phase is TrialPhase.SUCCEEDED and row.measurement is not None:
        return measured_rate(row.measurement.images_per_second, row.measurement.disturbed)
    return f"{(row.reason or Reason.UNKNOWN).value}: {row.message}"
