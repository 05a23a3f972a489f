"""Asks the Linux kernel to end a process when its parent ends."""

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def die_with_parent(_worker: int = 0) -> None:
    """Makes the kernel kill this process when the thread that started it ends. Can be a loader's worker_init_fn."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
