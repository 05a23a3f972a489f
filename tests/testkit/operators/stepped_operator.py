"""Follows one operator behind a proxy, step by step."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testkit.cluster.scripted_pods import Script
from testkit.faults.cases import OperatorGroup, operator_group
from testkit.faults.multi_namespace import Sandbox, SharedCluster
from testkit.faults.scenarios import ONE
from testkit.operators.forked_operator import ForkedOperator
from testkit.operators.proxy import FaultProxy

PAUSE_SECONDS = 0.2
LAST_EVENT = "sdbench_operator_last_watch_event_timestamp_seconds"
LAST_LIST = "sdbench_operator_last_list_timestamp_seconds"


@dataclass(frozen=True)
class SteppedOperator:
    """One operator in one sandbox."""

    group: OperatorGroup

    @property
    def sandbox(self) -> Sandbox:
        return self.group.sandbox

    @property
    def proxy(self) -> FaultProxy:
        return self.group.proxies[0]

    @property
    def operator(self) -> ForkedOperator:
        return self.group.operators[self.proxy]

    def restart(self) -> None:
        """Kills the operator and starts another one, as when its pod is recreated."""
        self.operator.kill()
        self.group.start(self.proxy)

    async def running(self) -> None:
        """Creates a Benchmark with one Trial; returns once that runs."""
        await self.sandbox.create(devices=ONE)
        await self.sandbox.until_row(0, "Running")

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
async def stepped_operator(
    shared_cluster: SharedCluster, folder: Path, script: Script
) -> AsyncIterator[SteppedOperator]:
    """Runs an operator behind a proxy in a namespace of its own; fails if it ends by itself."""
    sandbox = await shared_cluster.sandbox(script)
    async with operator_group(sandbox, folder) as group:
        group.start(group.proxies[0])
        try:
            yield SteppedOperator(group)
            group.demand_alive()
        except AssertionError as failure:
            raise AssertionError(f"{sandbox.shown()}: {failure}\n{group.log_tail()}") from failure
    with contextlib.suppress(Exception):
        await sandbox.leave()


async def failures_of(cases: Mapping[str, Callable[[], Awaitable[None]]]) -> dict[str, str]:
    """Runs all cases at the same time; returns the failures by case name."""
    wrong: dict[str, str] = {}

    async def one(name: str, case: Callable[[], Awaitable[None]]) -> None:
        try:
            await case()
        except AssertionError as failure:
            wrong[name] = str(failure)

    await asyncio.gather(*(one(name, case) for name, case in cases.items()))
    return wrong
