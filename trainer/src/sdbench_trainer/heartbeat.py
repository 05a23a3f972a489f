"""Shares each rank's progress with PID 1 through a small memory-mapped file.

The file has one record for each local rank. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import mmap
import struct
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from statistics import median

RECENT_STEPS = 31
PHASE, STEPS, MARKS, FIRST, AT, RECENT = range(6)
"""Indices into a record. All its fields are doubles, so a beat is three assignments.

FIRST is when the first step ended, AT when the rank last made progress; from RECENT on is a ring of step times.
"""

DOUBLES = RECENT + RECENT_STEPS
BYTES = 8 * DOUBLES


class RankPhase(IntEnum):
    """What a rank is doing."""

    STARTING = 0
    RENDEZVOUS = 1
    GATHERING = 2
    SETTING_UP = 3
    TRAINING = 4
    FINISHING = 5


PHASE_WORDS = {
    RankPhase.STARTING: "starting",
    RankPhase.RENDEZVOUS: "looking for the master",
    RankPhase.GATHERING: "waiting for the other ranks",
    RankPhase.SETTING_UP: "preparing data and model",
    RankPhase.TRAINING: "training",
    RankPhase.FINISHING: "finishing",
}


@dataclass(frozen=True)
class Heartbeat:
    """The last progress of one rank; times in seconds of CLOCK_MONOTONIC, 0 for never."""

    phase: RankPhase
    steps: int
    first_step_at: float
    at: float
    median_step: float
    marks: int = 0
    """Parts of the current step that are done."""

    @property
    def progress(self) -> tuple[int, int, int]:
        """How far the rank is: among ranks that wait for each other, the one with the least progress is to blame."""
        return int(self.phase), self.steps, self.marks


class Heartbeats:
    """Reads the shared file, for PID 1."""

    def __init__(self, path: Path, ranks: int, now: float) -> None:
        record = (float(RankPhase.STARTING), 0.0, 0.0, 0.0, now, *[0.0] * RECENT_STEPS)
        path.write_bytes(struct.pack(f"={DOUBLES}d", *record) * ranks)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def of(self, local_rank: int) -> Heartbeat:
        """The last heartbeat of a rank."""
        phase, count, marks, first, at, *recent = struct.unpack_from(f"={DOUBLES}d", self._memory, local_rank * BYTES)
        # The ring has one step time less than there are steps: the first step has no step before it.
        steps = int(count)
        known = recent[: max(0, steps - 1)]
        return Heartbeat(RankPhase(int(phase)), steps, first, at, median(known) if known else 0.0, int(marks))


class HeartbeatWriter:
    """Writes one rank's record; without a path, to memory that nobody reads."""

    def __init__(self, path: Path | None, local_rank: int) -> None:
        self._record = memoryview(bytearray(BYTES)).cast("d")
        self.phase, self._steps, self._last = RankPhase.STARTING, 0, 0.0
        if path is not None:
            with path.open("r+b") as file:
                # As aligned doubles, each of which is written at once: PID 1 never reads half of one.
                memory = memoryview(mmap.mmap(file.fileno(), 0))
            self._record = memory[local_rank * BYTES : (local_rank + 1) * BYTES].cast("d")

    def enter(self, phase: RankPhase) -> None:
        """Notes the phase that begins now."""
        self.phase = phase
        # Entering the training does not count as progress, so that the limit for the first step includes the setup.
        self._last = self._last if phase is RankPhase.TRAINING else time.monotonic()
        self._record[PHASE], self._record[AT] = float(phase), self._last

    def mark(self) -> None:
        """Notes that a part of the step ended, after which the next may wait for other ranks."""
        # The time stays: a mark is not progress. It shows how far in its step a rank is that hangs.
        self._record[MARKS] += 1.0

    def step(self) -> None:
        """Notes that a step ended."""
        now = time.monotonic()
        if self._steps:
            self._record[RECENT + (self._steps - 1) % RECENT_STEPS] = now - self._last
        else:
            self._record[FIRST] = now
        self._steps, self._last = self._steps + 1, now
        self._record[MARKS] = 0.0
        self._record[STEPS], self._record[AT] = float(self._steps), now
