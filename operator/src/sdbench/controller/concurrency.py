"""Lets one pass at a time start Trials while the administrator caps the Trials of all Benchmarks together.

A Benchmark that is deleted in the background leaves the cache at once, though its pods may take some seconds to go; and
a second operator has a cache of its own. Both can exceed the cap for a moment.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sdbench.controller.cache import BenchmarkCache
from sdbench.core.schedule.next_trials import others_running
from sdbench.core.snapshot import Snapshot


class ConcurrencyGate:
    """Hands out turns, each with a Snapshot that counts the others' Trials. For one event loop."""

    def __init__(self, cache: BenchmarkCache) -> None:
        self.cache = cache
        self._turn = asyncio.Lock()
        self._listed = asyncio.Event()

    def mark_listed(self) -> None:
        """Says that the cache holds every Benchmark, so that turns may begin."""
        self._listed.set()

    @asynccontextmanager
    async def turn(self, snapshot: Snapshot) -> AsyncIterator[Snapshot]:
        """Yields the Snapshot with the others' Trials while no other pass decides; without a cap nobody waits."""
        if snapshot.defaults.bounds.concurrent_trials is None:
            yield snapshot
            return
        # Before the first list the cache is empty, and no other Benchmark's Trials would be counted.
        await self._listed.wait()
        # What a turn stores is in the cache before the next one begins, so two passes never take the same free place.
        async with self._turn:
            yield replace(snapshot, others_running=others_running(snapshot.benchmark, self.cache.benchmarks()))
