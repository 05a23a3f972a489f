"""Tests that the queue yields each key once at a time, when it is due, and failures later and later."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import pytest

from sdbench.controller.workqueue import CONFLICTS_IN_A_ROW, LONGEST_BACKOFF, WorkQueue


@dataclass
class Clock:
    """A clock that stands still unless it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def idle(waiting: Awaitable[str]) -> bool:
    """Whether no key comes although every task has had its turn."""
    task = asyncio.ensure_future(waiting)
    for _ in range(10):
        await asyncio.sleep(0)
    still = not task.done()
    task.cancel()
    return still


async def with_a_running_retry() -> tuple[Clock, WorkQueue[str]]:
    """A queue in which the pass over `a` has failed once, and is being repeated."""
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add("a")
    await queue.get()
    clock.now += queue.add_rate_limited("a")
    await queue.get()
    return clock, queue


async def test_a_key_that_is_added_often_is_processed_once() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert await idle(queue.get())


async def test_a_busy_key_is_handed_out_again_only_when_it_is_done() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert await idle(queue.get())
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_waiting_worker_is_woken_by_a_new_key() -> None:
    queue = WorkQueue[str](Clock())
    taken = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(taken, 5) == "a"


async def test_the_earliest_due_time_counts_and_the_longest_due_key_comes_first() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add("a", 10)
    queue.add("a", 5)
    queue.add("b", 3)
    clock.now = 4
    assert await queue.get() == "b"
    assert await idle(queue.get())
    clock.now = 6
    assert (queue.depth(), queue.overdue()) == (1, 1)
    assert await queue.get() == "a"


async def test_the_back_off_grows_up_to_a_bound_and_a_success_resets_it() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    delays = []
    for _ in range(12):
        queue.add("a")
        await queue.get()
        delays.append(queue.add_rate_limited("a"))
        clock.now += delays[-1]
        await queue.get()
        queue.add("a")
        delays.append(queue.add_rate_limited("a"))
        clock.now += delays[-1]
    assert delays == sorted(delays)
    assert delays[0] < 1
    assert delays[-1] == LONGEST_BACKOFF
    await queue.get()
    queue.done("a")
    queue.add("a")
    await queue.get()
    assert queue.add_rate_limited("a") == delays[0]


async def test_events_that_a_failure_causes_do_not_shorten_its_back_off() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert queue.add_rate_limited("a", at_least=9) == 9
    queue.add("a")
    clock.now = 8.9
    queue.add("a")
    assert await idle(queue.get())
    clock.now = 9
    assert await queue.get() == "a"


async def test_a_key_added_during_the_retry_is_processed_after_the_retry_succeeds() -> None:
    _, queue = await with_a_running_retry()
    queue.add("a")
    queue.done("a")
    assert await queue.get() == "a"


async def test_forget_all_makes_failed_keys_due_and_no_others() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("failed")
    await queue.get()
    queue.add_rate_limited("failed")
    queue.add("later", 9)
    queue.forget_all()
    assert await queue.get() == "failed"
    assert await idle(queue.get())


async def test_forget_all_keeps_the_api_servers_retry_after() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    for _ in range(8):
        queue.add("a")
        await queue.get()
        clock.now += queue.add_rate_limited("a")
    await queue.get()
    asked = clock.now + 9
    assert queue.add_rate_limited("a", at_least=9) == LONGEST_BACKOFF
    clock.now = asked - 1
    queue.forget_all()
    assert await idle(queue.get())
    clock.now = asked
    assert await queue.get() == "a"


async def test_forget_all_wakes_a_waiting_worker() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("a")
    await queue.get()
    queue.add_rate_limited("a")
    taken = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.forget_all()
    assert await asyncio.wait_for(taken, 5) == "a"


@pytest.mark.parametrize("workers", [4])
async def test_several_workers_share_the_keys(workers: int) -> None:
    queue = WorkQueue[int](Clock())
    tasks = [asyncio.ensure_future(queue.get()) for _ in range(workers)]
    await asyncio.sleep(0)
    for key in range(workers):
        queue.add(key)
    assert {await asyncio.wait_for(task, 5) for task in tasks} == set(range(workers))


async def test_a_conflict_is_requeued_at_once_but_not_forever() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add("a")
    delays = []
    for _ in range(CONFLICTS_IN_A_ROW + 6):
        await queue.get()
        delays.append(0.0 if queue.requeue_conflict("a", 0.0) else queue.add_rate_limited("a"))
        clock.now += delays[-1]
    assert delays == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]


async def test_a_success_resets_the_count_of_conflicts() -> None:
    queue = WorkQueue[str](Clock())
    for _ in range(CONFLICTS_IN_A_ROW + 1):
        queue.add("a")
        await queue.get()
        assert queue.requeue_conflict("a", 0.0)
        await queue.get()
        queue.done("a")


async def test_a_key_with_a_failure_and_then_a_conflict_is_requeued() -> None:
    clock, queue = await with_a_running_retry()
    assert queue.requeue_conflict("a", 0.05)
    clock.now += 0.05
    assert await queue.get() == "a"
