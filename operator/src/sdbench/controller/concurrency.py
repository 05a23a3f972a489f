"""Lets one pass at a time start Trials while the administrator caps those of all Benchmarks together.

What the others have stored is on the Board. It is complete once everything was listed; and what is stored in a turn is
on it before the next turn begins, so that two passes never take the same free place. A Benchmark that is deleted in the
background is forgotten at once, though its pods may take some seconds to go; a second operator has a Board of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sdbench.controller.cache import BenchmarkCache
from sdbench.core.schedule.next_trials import others_running
from sdbench.core.snapshot import Snapshot


class ConcurrencyGate:
    """The turns, and the World as it is during one. For one event loop."""

    def __init__(self, board: BenchmarkCache) -> None:
        self.board = board
        self._turn = asyncio.Lock()
        self._listed = asyncio.Event()

    def listed(self) -> None:
        """Everything is on the Board."""
        self._listed.set()

    @asynccontextmanager
    async def turn(self, snapshot: Snapshot) -> AsyncIterator[Snapshot]:
        """The World with the others' Trials, for as long as nobody else decides; without a bound nobody waits."""
        if snapshot.defaults.bounds.concurrent_trials is None:
            yield snapshot
            return
        await self._listed.wait()
        async with self._turn:
            yield replace(snapshot, others_running=others_running(snapshot.benchmark, self.board.benchmarks()))
