"""Locates the cache of what outlives a run: binaries, images, and the records of runs."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """A folder of $SDBENCH_CACHE, else $XDG_CACHE_HOME/sdbench, else ~/.cache/sdbench; created if it is missing."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(os.environ.get("SDBENCH_CACHE") or home / "sdbench")
    folder = root.absolute().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def lock(name: str, meaning: str) -> Iterator[None]:
    """Holds the cache's lock `name`; prints `meaning` if it must wait for another process.

    The kernel releases the lock when the process ends, so a killed run never blocks the next one.
    """
    with (cache_folder("locks") / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting: {meaning}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(name: str) -> bool:
    """Whether a process holds the lock now."""
    with (cache_folder("locks") / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def say(sentence: str) -> None:
    """Prints progress to the terminal."""
    print(f"harness: {sentence}", file=sys.stderr, flush=True)
