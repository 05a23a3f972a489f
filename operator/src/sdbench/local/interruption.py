"""Turns SIGINT, SIGTERM and SIGHUP into a flag that the local loop checks."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """The first signal that requested a stop, and whether another followed."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self.signal: int | None = None
        self.repeated = False

    def request(self, number: int) -> None:
        """Requests a clean stop; a second request asks for an immediate one."""
        self.repeated = self.signal is not None
        self.signal = self.signal or number
        self._requested.set()

    @property
    def exit_code(self) -> int | None:
        """The exit code of a program that the signal ended, as a shell shows it; None without a signal."""
        return None if self.signal is None else 128 + self.signal

    def wait(self, seconds: float) -> None:
        """Waits that long, or until the next signal."""
        # A signal ends the wait, so that the run stops without the rest of a pause.
        self._requested.wait(seconds)
        self._requested.clear()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Redirects the signals to an Interruption; restores their handlers at the end."""
    interruption = Interruption()
    previous = {number: signal.signal(number, lambda got, _: interruption.request(got)) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
