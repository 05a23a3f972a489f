"""Measures how long a piece of work takes, and how many operations it dispatches.

A dispatched operation is a call through PyTorch's dispatcher. On a GPU it may be many kernels, or none.
"""

import time
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatched(TorchDispatchMode):
    """Counts the operations that are dispatched inside its context."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def dispatched(work: Callable[[], object]) -> int:
    """The number of operations that the work dispatches."""
    operations = Dispatched()
    with operations:
        work()
    return operations.count


def seconds_of(work: Callable[[], object]) -> float:
    """The duration of the work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
