"""Queues keys: each is processed by one worker at a time and when it is due, with growing delays after failures."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
"""Also the longest that an edit waits while passes over its key fail."""

CONFLICTS_IN_A_ROW = 2
"""How many conflicts in a row are requeued at once."""


class WorkQueue(Generic[K]):
    """Keys with the monotonic times at which they are due. For one event loop; the verbs are client-go's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[K, float] = {}
        self._busy: set[K] = set()
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        """Until when the API server has asked not to be asked again, for each failed key."""
        self._conflicts: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K, delay: float = 0.0) -> None:
        """Makes the key due after `delay` seconds, unless it is due earlier already or waits after a failure."""
        # A failed pass causes events, before and after it is recorded: they must not undo its back-off.
        if key in self._failures and key in self._due and key not in self._busy:
            return
        due = self._clock() + delay
        self._due[key] = min(due, self._due.get(key, due))
        self._changed.set()

    async def get(self) -> K:
        """Waits for a due key and returns the longest due one, busy until `done`, `add_rate_limited` or a requeue."""
        while True:
            self._changed.clear()
            free = [(due, key) for key, due in self._due.items() if key not in self._busy]
            due, key = min(free, key=lambda item: item[0], default=(None, None))
            if key is not None and due is not None and due <= self._clock():
                del self._due[key]
                self._busy.add(key)
                return key
            # Not by wait_for: it creates a task, and kopf, when it ends, waits for every task that it does not know.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else due - self._clock()):
                    await self._changed.wait()

    def done(self, key: K) -> None:
        """Ends a successful pass over the key."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._conflicts.pop(key, None)
        self._release(key)

    def add_rate_limited(self, key: K, at_least: float = 0.0) -> float:
        """Ends a failed pass and requeues the key; returns the delay, which doubles with each failure.

        `at_least`: seconds that the API server has asked to wait; `forget_all` does not shorten them.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = max(at_least, min(FIRST_BACKOFF * 2.0 ** min(count, 16), LONGEST_BACKOFF))
        now = self._clock()
        # What was added meanwhile must wait, too.
        self._due[key], self._not_before[key] = now + delay, now + at_least
        self._release(key)
        return delay

    def requeue_conflict(self, key: K, delay: float) -> bool:
        """Ends a pass whose Benchmark was changed meanwhile, and requeues the key after `delay` seconds.

        Returns False, and does nothing, after more than CONFLICTS_IN_A_ROW: that is a failure.
        """
        self._conflicts[key] = self._conflicts.get(key, 0) + 1
        if self._conflicts[key] > CONFLICTS_IN_A_ROW:
            return False
        self._due[key] = self._clock() + delay
        self._release(key)
        return True

    def forget_all(self) -> None:
        """Ends all back-offs, as their common cause is over: failed keys are due now, or when the API server wants."""
        now = self._clock()
        for key, not_before in self._not_before.items():
            if key in self._due:
                self._due[key] = min(self._due[key], max(now, not_before))
        self._changed.set()

    def overdue(self) -> float:
        """How many seconds the longest due key has been waiting; 0 if none is due."""
        now = self._clock()
        return max((now - due for due in self._due.values() if due <= now), default=0.0)

    def depth(self) -> int:
        """How many keys are due now."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    def _release(self, key: K) -> None:
        self._busy.discard(key)
        self._changed.set()
