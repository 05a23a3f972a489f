"""What do killed ranks leave in shared memory? Streaming's segments, which PID 1 removes.

Streaming names them NNNNNN_… in /dev/shm and takes the next free number; what a killed process left is never removed by
it. Its file locks, in the ranks' temporary folder, tell which numbers were those of this run.
"""

import re
from pathlib import Path

SHARED_MEMORY = Path("/dev", "shm")
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


def remove_those_of(locks: Path, shared_memory: Path = SHARED_MEMORY) -> None:
    """Remove the segments whose locks lie in this folder: right once all ranks have ended."""
    remove(_numbers(locks), shared_memory)
