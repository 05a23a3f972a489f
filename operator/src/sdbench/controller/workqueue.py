"""Queues keys: each is processed once at a time and when it is due, and after failures later and later."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
"""Also the longest that an edit waits, if looks at its key fail."""

PATIENCE = 2
"""How often in a row a look that was overtaken is repeated at once."""


class WorkQueue(Generic[K]):
    """Keys with the monotonic moments at which they are due. For one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[K, float] = {}
        self._busy: set[K] = set()
        self._failures: dict[K, int] = {}
        self._asked_to_wait: dict[K, float] = {}
        """Until when the API server wants not to be asked about the key again."""
        self._overtaken: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K, delay: float = 0.0) -> None:
        """Look at the key after `delay` seconds, or earlier if that was wanted already; after a failure, in its time.

        A failure causes events, before and after it is known as one: they must not undo its delay.
        """
        if key in self._failures and key in self._due and key not in self._busy:
            return
        due = self._clock() + delay
        self._due[key] = min(due, self._due.get(key, due))
        self._changed.set()

    async def take(self) -> K:
        """The key that is due longest, once there is one; it is busy until `done`, `failed` or `overtaken`."""
        while True:
            self._changed.clear()
            free = [(due, key) for key, due in self._due.items() if key not in self._busy]
            due, key = min(free, key=lambda item: item[0], default=(None, None))
            if key is not None and due is not None and due <= self._clock():
                del self._due[key]
                self._busy.add(key)
                return key
            await self._until_changed(None if due is None else due - self._clock())

    def done(self, key: K) -> None:
        """The look at the key has succeeded."""
        self._failures.pop(key, None)
        self._asked_to_wait.pop(key, None)
        self._overtaken.pop(key, None)
        self._free(key)

    def failed(self, key: K, at_least: float = 0.0) -> float:
        """The look has failed: it is repeated after a delay, twice as long each time, which is returned.

        `at_least`: what the API server has asked for, which nobody forgives.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = max(at_least, min(FIRST_BACKOFF * 2.0 ** min(count, 16), LONGEST_BACKOFF))
        now = self._clock()
        # What was added meanwhile must wait, too.
        self._due[key], self._asked_to_wait[key] = now + delay, now + at_least
        self._free(key)
        return delay

    def overtaken(self, key: K, delay: float) -> bool:
        """The look has come to nothing, as something was changed meanwhile: it is repeated after `delay`.

        False, and nothing is done, when that happens again and again: then it has `failed`.
        """
        self._overtaken[key] = self._overtaken.get(key, 0) + 1
        if self._overtaken[key] > PATIENCE:
            return False
        self._due[key] = self._clock() + delay
        self._free(key)
        return True

    def forgive(self) -> None:
        """What made looks fail is over: all that wait because of it are due now, or when the API server wants."""
        now = self._clock()
        for key, asked in self._asked_to_wait.items():
            if key in self._due:
                self._due[key] = min(self._due[key], max(now, asked))
        self._changed.set()

    def overdue(self) -> float:
        """How many seconds the key that waits longest is late; 0 if none is."""
        now = self._clock()
        return max((now - due for due in self._due.values() if due <= now), default=0.0)

    def depth(self) -> int:
        """How many keys are due now."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    def _free(self, key: K) -> None:
        self._busy.discard(key)
        self._changed.set()

    async def _until_changed(self, seconds: float | None) -> None:
        # Not by wait_for: it makes a task, and kopf waits for every task that it does not know when it ends.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
