"""Shows the progress of a long command on stderr: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 10.0


def _lines(what: str, unit: str, total: int | None, now: Callable[[], float]) -> Callable[[int], None]:
    began = told = now()
    done = 0

    def tell(count: int) -> None:
        nonlocal told, done
        done += count
        if now() - told >= LINE_SECONDS:
            told = now()
            of = f" of {total}" if total is not None else ""
            sys.stderr.write(f"{what}: {done}{of} {unit}s, {done / (told - began):.0f} a second\n")

    return tell


@contextmanager
def progress(
    what: str, unit: str, total: int | None = None, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """What to call with the number of pieces done since the last call."""
    if not sys.stderr.isatty():
        yield _lines(what, unit, total, now)
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=unit, total=total) as bar:
        yield lambda count: bar.update(count) and None
