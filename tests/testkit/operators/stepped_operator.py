"""Follows one operator behind a proxy, step by step."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testkit.cluster.scripted_pods import Script
from testkit.faults.cases import Cast, cast_of
from testkit.faults.multi_namespace import Grounds, Scene
from testkit.faults.scenarios import ONE
from testkit.operators.forked_operator import ForkedOperator
from testkit.operators.proxy import FaultProxy

PAUSE_SECONDS = 0.2
LAST_EVENT = "sdbench_operator_last_watch_event_timestamp_seconds"
LAST_LIST = "sdbench_operator_last_list_timestamp_seconds"


@dataclass(frozen=True)
class Attended:
    """One operator in one scene."""

    cast: Cast

    @property
    def scene(self) -> Scene:
        return self.cast.scene

    @property
    def proxy(self) -> FaultProxy:
        return self.cast.proxies[0]

    @property
    def operator(self) -> ForkedOperator:
        return self.cast.operators[self.proxy]

    def restart(self) -> None:
        """Kills the operator and starts another one, as when its pod is recreated."""
        self.operator.kill()
        self.cast.start(self.proxy)

    async def running(self) -> None:
        """Creates a Benchmark with one Trial; returns once that runs."""
        await self.scene.ask(devices=ONE)
        await self.scene.until_row(0, "Running")

    async def metrics(self) -> str:
        return (await asyncio.to_thread(self.operator.answer, "/metrics"))[1]

    async def last_event(self) -> float:
        """The metric's time of the last watch event."""
        return _value(LAST_EVENT, await self.metrics())

    async def until_listed(self, since: float, seconds: float) -> None:
        """Waits until the metric shows that everything was listed after the time `since`."""
        await self.until_metrics(lambda text: since < _value(LAST_LIST, text) <= time.time(), seconds)

    async def until_metrics(self, fact: Callable[[str], bool], seconds: float) -> None:
        """Waits until the metrics' text satisfies `fact`."""
        end = time.monotonic() + seconds
        while not fact(text := await self.metrics()):
            assert time.monotonic() < end, f"timed out after {seconds:g} s; the metrics are:\n{text}"
            await asyncio.sleep(PAUSE_SECONDS)


def _value(name: str, metrics: str) -> float:
    return next(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name))


@contextlib.asynccontextmanager
async def attended(grounds: Grounds, folder: Path, script: Script) -> AsyncIterator[Attended]:
    """Runs an operator behind a proxy in a namespace of its own; fails if it ends by itself."""
    scene = await grounds.scene(script)
    async with cast_of(scene, folder) as cast:
        cast.start(cast.proxies[0])
        try:
            yield Attended(cast)
            cast.demand_alive()
        except AssertionError as failure:
            raise AssertionError(f"{scene.shown()}: {failure}\n{cast.said()}") from failure
    with contextlib.suppress(Exception):
        await scene.leave()


async def wrong_in(cases: Mapping[str, Callable[[], Awaitable[None]]]) -> dict[str, str]:
    """Runs all cases at the same time; returns the failures by case name."""
    wrong: dict[str, str] = {}

    async def one(name: str, case: Callable[[], Awaitable[None]]) -> None:
        try:
            await case()
        except AssertionError as failure:
            wrong[name] = str(failure)

    await asyncio.gather(*(one(name, case) for name, case in cases.items()))
    return wrong
