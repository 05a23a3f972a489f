"""Reports the progress of a long command on stderr: a bar on a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 10.0


def ignore_progress(count: int) -> None:
    """Reports nothing."""


@contextmanager
def progress(title: str, unit: str) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of units that were completed since its last call."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=title, unit=unit) as bar:
            yield lambda count: bar.update(count) and None
        return
    # A bar would fill a log file with its every step.
    started = last_line = time.monotonic()
    done = 0

    def report(count: int) -> None:
        nonlocal last_line, done
        done += count
        if time.monotonic() - last_line >= LINE_SECONDS:
            last_line = time.monotonic()
            sys.stderr.write(f"{title}: {done} {unit}s, {done / (last_line - started):.0f} per second\n")

    yield report
