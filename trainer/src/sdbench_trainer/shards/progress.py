"""Reports the progress of a long command on stderr: a bar on a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 10.0


def ignore_progress(count: int) -> None:
    """Reports nothing."""


@contextmanager
def progress(
    title: str, unit: str, total: int | None = None, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of units that were completed since its last call."""
    if not sys.stderr.isatty():
        yield _line_reporter(title, unit, total, now)
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, total=total) as bar:
        yield lambda count: bar.update(count) and None


def _line_reporter(title: str, unit: str, total: int | None, now: Callable[[], float]) -> Callable[[int], None]:
    started = last_line = now()
    done = 0

    def report(count: int) -> None:
        nonlocal last_line, done
        done += count
        if now() - last_line >= LINE_SECONDS:
            last_line = now()
            of_total = f" of {total}" if total is not None else ""
            sys.stderr.write(f"{title}: {done}{of_total} {unit}s, {done / (last_line - started):.0f} per second\n")

    return report
