"""Runs a function on many items in several processes; the results come in order, and few are held at a time."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from sdbench_trainer.parent_death import die_with_parent

AHEAD = 2
"""Items that are submitted at a time, per worker."""

Work = TypeVar("Work")
Result = TypeVar("Result")


class WorkerLost(Exception):
    """Raised if a worker process was killed."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits PyTorch to one thread."""
    import torch

    # More threads add up in a different order, so that the rounding would depend on the number of workers.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_order(function: Callable[[Work], Result], items: Iterable[Work], workers: int) -> Iterator[Result]:
    """The results in the order of the items. Raises WorkerLost and whatever the function raises.

    One worker means this process. Several are forks of it, so import slow modules first.
    """
    if workers == 1:
        with one_thread():
            yield from map(function, items)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"), initializer=_start_worker)
    # Few items are pending, so that a slow consumer does not fill the memory with results.
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BaseException as error:
        # `shutdown` alone would wait for the items that the workers have begun.
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise WorkerLost("A worker process was killed, most likely because memory ran out.") from error
        raise
    pool.shutdown()


def _start_worker() -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    die_with_parent()
    torch.set_num_threads(1)  # see one_thread
