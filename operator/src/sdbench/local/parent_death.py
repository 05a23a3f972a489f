"""Starts a program that ends when its parent does, even if the parent is killed.

    python -m sdbench.local.parent_death PARENT_PID PROGRAM ARGUMENT…

It is a program of its own because code between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie_to_parent(parent: int) -> None:
    """Asks the kernel for SIGTERM at the parent's death; exits at once if the parent has died already."""
    # Only Linux can do this; elsewhere a killed parent leaves its programs running.
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    tie_to_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 (an argv list, no shell)
