"""Polls until a condition is true, up to a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

from harness.failure import HarnessError

PAUSE_SECONDS = 0.05

Value = TypeVar("Value")


def until(fact: Callable[[], Value | None], seconds: float, what: str) -> Value:
    """The first value of `fact` that is neither None nor False.

    Raises HarnessError with `what` once the time is over. An error that `fact` raises ends the wait at once.
    """
    end = time.monotonic() + seconds
    while True:
        value = fact()
        if value is not None and value is not False:
            return value
        if time.monotonic() > end:
            raise HarnessError(f"timed out after {seconds:g} s waiting for {what}")
        time.sleep(PAUSE_SECONDS)
