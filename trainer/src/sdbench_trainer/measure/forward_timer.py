"""Times a rank's forward passes, the part of a step before a rank first waits for another."""

import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch


class Mark(Protocol):
    """A point in a device's queue of work, such as torch.cuda.Event."""

    def query(self) -> bool:
        """Whether the device has reached the mark."""

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds from this mark to another; the device must have reached both."""


def cuda_mark() -> Mark:
    """A mark behind all work that is queued on the device."""
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()  # type: ignore[no-untyped-call]
    return cast("Mark", event)


class ForwardClock:
    """Sums the seconds from the start of each forward pass to the start of its backward pass."""

    def __init__(self, mark: Callable[[], Mark] | None, clock: Callable[[], float] = time.perf_counter) -> None:
        # On CUDA the device sets marks: the clock of the host would only time the launches of the kernels.
        self._mark = mark
        self._clock = clock
        self._began: float | Mark = 0.0
        self._seconds = 0.0
        self._open: list[tuple[Mark, Mark]] = []

    def begin(self) -> None:
        """Notes that a forward pass begins."""
        self._began = self._mark() if self._mark else self._clock()

    def end(self) -> None:
        """Notes that its backward pass begins."""
        if isinstance(self._began, float):
            self._seconds += self._clock() - self._began
        elif self._mark:
            self._open.append((self._began, self._mark()))

    def settle(self) -> None:
        """Adds up the passes that the device has completed, so that a long window keeps no marks."""
        while self._open and self._open[0][1].query():
            begin, end = self._open.pop(0)
            self._seconds += begin.elapsed_time(end) / 1000.0

    def reset(self) -> None:
        """Starts again from zero."""
        self._seconds, self._open = 0.0, []

    def seconds(self) -> float:
        """The sum so far; complete only if the device is synchronised."""
        self.settle()
        return self._seconds
