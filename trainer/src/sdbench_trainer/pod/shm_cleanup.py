"""Removes the shared-memory segments that killed ranks left behind.

Streaming calls its segments NNNNNN_… in /dev/shm, takes the next free number, and never removes the segments of a
process that was killed.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev", "shm")
PROCESSES = Path("/proc")
FRESH_SECONDS = 60.0
"""A segment younger than this may belong to a process that has not mapped it yet."""
_MAPPED = re.compile(rf"{SHARED_MEMORY}/(\d{{6}})_[a-z_]+")
_NUMBERED = re.compile(r"^(\d{6})_[a-z_]+$")


def _numbered(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder that are called as Streaming calls them, each with its number."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := _NUMBERED.match(path.name):
            yield match.group(1), path


def _remove(numbers: set[str], shared_memory: Path) -> None:
    for number, path in _numbered(shared_memory):
        if number in numbers:
            path.unlink(missing_ok=True)


def remove_all(shared_memory: Path = SHARED_MEMORY) -> None:
    """Removes every segment: only before the first rank starts, and where no other run shares the memory."""
    _remove({number for number, _ in _numbered(shared_memory)}, shared_memory)


def remove_those_of(locks: Path, shared_memory: Path = SHARED_MEMORY) -> None:
    """Removes a run's segments once all its ranks have ended; `locks` is the ranks' temporary folder.

    Streaming puts a file lock there for each segment, with the same number.
    """
    _remove({number for number, _ in _numbered(locks)}, shared_memory)


def remove_unused(
    shared_memory: Path = SHARED_MEMORY, processes: Path = PROCESSES, now: Callable[[], float] = time.time
) -> None:
    """Removes the segments that no process maps: safe where other runs share the memory, as on a workstation."""
    at = now()
    old: dict[str, bool] = {}
    for number, path in _numbered(shared_memory):
        try:
            status = path.stat()
        except FileNotFoundError:
            old[number] = False
            continue
        # Another user's processes cannot be seen, so whether they map a segment is not known.
        is_old = status.st_uid == os.geteuid() and at - status.st_mtime > FRESH_SECONDS
        old[number] = old.get(number, True) and is_old
    unused = {number for number, is_old in old.items() if is_old}
    if unused:
        _remove(unused - _mapped(processes), shared_memory)


def _mapped(processes: Path) -> set[str]:
    """The numbers of the segments that those processes map whose maps this user may read."""
    found: set[str] = set()
    for maps in processes.glob("[0-9]*/maps"):
        try:
            found.update(_MAPPED.findall(maps.read_text(errors="replace")))
        except OSError:
            continue
    return found
