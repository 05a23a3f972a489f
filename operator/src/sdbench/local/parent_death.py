"""Starts a program that ends when its parent does, even if the parent is killed.

    python -m sdbench.local.parent_death PARENT_PID PROGRAM ARGUMENT…

Linux then sends SIGTERM to the program when its parent dies (elsewhere the tie is missing). Doing this in a program
of its own and not between fork and exec keeps it safe beside threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie_to_parent(parent: int) -> None:
    """Ask for SIGTERM at the parent's death; leave at once when it died already."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    tie_to_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 (an argv list, no shell)
