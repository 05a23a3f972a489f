"""Times a rank's forward passes: what a rank does before it first waits for another."""

import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch


class Mark(Protocol):
    """A point in a device's queue of work, such as torch.cuda.Event."""

    def query(self) -> bool:
        """Whether the device has passed it."""

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds from it to another one; both have to be passed."""


def cuda_mark() -> Mark:
    """A mark behind all work that was given to the device."""
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()  # type: ignore[no-untyped-call]
    return cast("Mark", event)


class ForwardClock:
    """Seconds from the start of each forward pass to the start of its backward pass.

    On CUDA between marks: the host's clock would time the launches only.
    """

    def __init__(self, mark: Callable[[], Mark] | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._mark = mark
        self._clock = clock
        self._began: float | Mark = 0.0
        self._seconds = 0.0
        self._open: list[tuple[Mark, Mark]] = []

    def begin(self) -> None:
        """A forward pass begins."""
        self._began = self._mark() if self._mark else self._clock()

    def end(self) -> None:
        """Its backward pass begins."""
        if isinstance(self._began, float):
            self._seconds += self._clock() - self._began
        elif self._mark:
            self._open.append((self._began, self._mark()))

    def settle(self) -> None:
        """Add up what the device has passed, so that a long window keeps no marks."""
        while self._open and self._open[0][1].query():
            begin, end = self._open.pop(0)
            self._seconds += begin.elapsed_time(end) / 1000.0

    def reset(self) -> None:
        """Forget everything: the window opens."""
        self._seconds, self._open = 0.0, []

    def seconds(self) -> float:
        """The sum; the device has to be synchronised."""
        self.settle()
        return self._seconds
