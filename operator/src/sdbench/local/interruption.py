"""Turns SIGINT, SIGTERM and SIGHUP into a flag that the local loop checks."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Which signal asked first, and whether a person became impatient."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.signal: int | None = None
        self.repeated = False

    def ask(self, number: int) -> None:
        """Stop cleanly; asked again, stop at once."""
        self.repeated = self.signal is not None
        if self.signal is None:
            self.signal = number
        self._asked.set()

    @property
    def exit_code(self) -> int | None:
        """As a shell shows a program ended by that signal; None when nobody asked."""
        return None if self.signal is None else 128 + self.signal

    def wait(self, seconds: float) -> None:
        """Until asked, at most so long."""
        self._asked.wait(seconds)
        self._asked.clear()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """While it is open the signals ask; afterwards they do what they did before."""
    interruption = Interruption()

    def ask(number: int, _: FrameType | None) -> None:
        interruption.ask(number)

    before = {number: signal.signal(number, ask) for number in ASKING}
    try:
        yield interruption
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
