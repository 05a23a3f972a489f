"""Turns readings of an Attempt and its row into a Step that can be shown."""

from dataclasses import dataclass

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.snapshot import CreateJob
from sdbench.local.live_metrics import Reading
from sdbench_trainer.report import WindowState
from sdbench_trainer.run import division


@dataclass(frozen=True)
class Step:
    """A few words, batches of how many where that is known, and the present rate."""

    words: str
    done: int = 0
    of: int | None = None
    images_per_second: float | None = None

    @property
    def rate(self) -> str:
        """As in `12.3 images/s`; empty while unknown."""
        return f"{self.images_per_second:,.1f} images/s" if self.images_per_second else ""


class WindowProgress:
    """Turns the readings of one Attempt into batches done of batches asked."""

    def __init__(self, start: CreateJob) -> None:
        self._batch = division(start.run.trainer, start.run.devices).run
        self._asked = start.run.trainer.window
        self._images_at_opening: float | None = None
        self._heard = False

    def step(self, reading: Reading | None) -> Step:
        """How far the Attempt is by this reading."""
        if reading is None:
            return Step("finishing" if self._heard else "starting")
        self._heard = True
        rate = reading.images_per_second or None
        if reading.window is WindowState.WARM_UP:
            done = min(int(reading.images // self._batch), self._asked.warmup_batches)
            return Step("warm-up", done, self._asked.warmup_batches, rate)
        if reading.window is WindowState.COMPLETE:
            return Step("measured", self._asked.batches, self._asked.batches, rate)
        if self._images_at_opening is None:
            self._images_at_opening = reading.images
        done = int((reading.images - self._images_at_opening) // self._batch)
        return Step("measuring", min(done, self._asked.batches), self._asked.batches, rate)


def title(row: TrialRow, benchmark: Benchmark) -> str:
    """Which Trial this is."""
    repeat = f" repeat {row.repeat}" if benchmark.spec.repeats.most > 1 else ""
    again = f" attempt {row.attempt}" if row.attempt > 1 else ""
    return f"Trial {row.trial} {row.point}{repeat}{again}"


def outcome_line(row: TrialRow) -> str:
    """How an ended Trial ended, in one line."""
    if row.phase is TrialPhase.SUCCEEDED and row.measurement is not None:
        disturbed = ", but others disturbed it" if row.measurement.disturbed else ""
        return f"{row.measurement.images_per_second:,.2f} images/s{disturbed}"
    return f"{(row.reason or Reason.UNKNOWN).value}: {row.message}"
