"""Distributes work over forked processes, keeping its order and never holding all of it."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from sdbench_trainer.parent_death import die_with_parent

AHEAD = 2
"""Pieces of work that are handed out for each worker."""

Work = TypeVar("Work")
Done = TypeVar("Done")


class WorkerLost(Exception):
    """A worker was killed."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread meanwhile: more would add up in another order, and round otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _begin() -> None:
    """Leave Ctrl-C to the parent, end with it, and compute in one thread."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    torch.set_num_threads(1)


def _stopped(pool: ProcessPoolExecutor) -> None:
    for process in multiprocessing.active_children():
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


def in_order(act: Callable[[Work], Done], works: Iterable[Work], workers: int) -> Iterator[Done]:
    """The results in the order of the works; with one worker in this process. Raises WorkerLost and what `act` raises.

    The processes are forks: import what is slow before.
    """
    if workers == 1:
        with one_thread():
            yield from map(act, works)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"), initializer=_begin)
    pending: deque[Future[Done]] = deque()
    try:
        for work in works:
            pending.append(pool.submit(act, work))
            if len(pending) >= AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as broken:
        _stopped(pool)
        raise WorkerLost("A worker was killed, most likely because the memory was full.") from broken
    except BaseException:
        _stopped(pool)
        raise
    pool.shutdown()
