"""Removes the shared-memory segments that killed ranks left, those of Streaming.

Streaming names them NNNNNN_… in /dev/shm and takes the next free number; what a killed process left is never removed by
it. Its file locks, in the ranks' temporary folder, tell which numbers were those of this run. Of runs whose PID 1 was
killed too, what tells is that no process maps a segment of that number.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

SHARED_MEMORY = Path("/dev", "shm")
PROCESSES = Path("/proc")
FRESH_SECONDS = 60.0
"""A segment younger than this may belong to a process that has not mapped it yet."""
_MAPPED = re.compile(rf"{SHARED_MEMORY}/(\d{{6}})_[a-z_]+")
_NUMBERED = re.compile(r"^(\d{6})_[a-z_]+$")


def _numbers(folder: Path) -> set[str]:
    found = (_NUMBERED.match(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return {match.group(1) for match in found if match}


def remove(numbers: set[str], shared_memory: Path = SHARED_MEMORY) -> None:
    """Remove the segments with these numbers."""
    for path in shared_memory.iterdir() if shared_memory.is_dir() else ():
        match = _NUMBERED.match(path.name)
        if match and match.group(1) in numbers:
            path.unlink(missing_ok=True)


def remove_all(shared_memory: Path = SHARED_MEMORY) -> None:
    """Remove every segment: right only before the first rank starts, where nobody else shares the memory."""
    remove(_numbers(shared_memory), shared_memory)


def _mapped(processes: Path) -> set[str]:
    """The numbers of the segments that processes map, of those that may be looked at."""
    found: set[str] = set()
    for maps in processes.glob("[0-9]*/maps"):
        try:
            text = maps.read_text(errors="replace")
        except OSError:
            continue
        found.update(_MAPPED.findall(text))
    return found


def _ours_and_old(path: Path, now: float) -> bool:
    """Whether a segment is this user's, whose processes can be seen, and is not just being made."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return status.st_uid == os.geteuid() and now - status.st_mtime > FRESH_SECONDS


def remove_unused(
    shared_memory: Path = SHARED_MEMORY, processes: Path = PROCESSES, now: Callable[[], float] = time.time
) -> None:
    """Remove the segments that nobody uses: right also where other runs share the memory, as on a workstation."""
    at = now()
    old: dict[str, bool] = {}
    for path in shared_memory.iterdir() if shared_memory.is_dir() else ():
        match = _NUMBERED.match(path.name)
        if match:
            old[match.group(1)] = old.get(match.group(1), True) and _ours_and_old(path, at)
    unused = {number for number, is_old in old.items() if is_old}
    remove(unused - _mapped(processes) if unused else unused, shared_memory)


def remove_those_of(locks: Path, shared_memory: Path = SHARED_MEMORY) -> None:
    """Remove the segments whose locks lie in this folder: right once all ranks have ended."""
    remove(_numbers(locks), shared_memory)
