"""Does it matter at which write an operator dies? One run for every write of a scenario, compared with undisturbed ones.

A write is every POST, PUT, PATCH and DELETE that the operator sends, Events included. `before` the n-th: the API
server never hears of it; `after`: it is done and the operator never learns. Whoever died is started again.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

from api import faults
from api.direct import JOBS, PODS, Document
from api.forked import ForkedOperator, forked
from api.grounds import NAME, Grounds, Scene
from api.proxied import Armed, Exchange, FaultProxy, where
from api.scenarios import Scenario

WRITES = where("create update patch delete")
AT_ONCE = 8
"""Cases side by side."""

SECONDS = 90
"""Longest case."""

TIMES = re.compile(r"At$|Time$|^spent|UID$|^podsChecksum$|^resourceVersion$")
"""Keys of a status whose values no two runs share."""

_logs = count()


class Alive(Enum):
    """How many operators run, and which of them die."""

    ONE = "one operator"
    TWO_ONE_DIES = "two operators, one is killed"
    TWO_BOTH_DIE = "two operators, both are killed"


@dataclass(frozen=True)
class Kill:
    """A point in a run."""

    write: int
    """From 1."""
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} write {self.write}"


@dataclass(frozen=True)
class End:
    """What must not differ from an undisturbed run: the answer, and how many of each name were ever made."""

    status: Document
    jobs: Counter[str]
    pods: Counter[str]


@dataclass(frozen=True)
class Ran:
    """One run of a scenario."""

    end: End
    writes: tuple[str, ...]
    killed: bool


@dataclass
class Swept:
    """A scenario's sweep."""

    scenario: str
    alive: Alive
    writes: int
    kills: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """Kill to what was wrong after it."""
    unreached: list[str] = field(default_factory=list)
    """Kills whose write never came, though it was tried again: with another timing there may be fewer writes."""


@dataclass
class Cast:
    """The operators of one case, and what kills them."""

    grounds: Grounds
    scene: Scene
    folder: Path
    alive: Alive
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    proxies: list[FaultProxy] = field(default_factory=list)
    operators: dict[FaultProxy, ForkedOperator] = field(default_factory=dict)

    def start(self, proxy: FaultProxy) -> None:
        log = self.folder / f"{self.scene.namespace}-{next(_logs)}.log"
        self.operators[proxy] = forked(proxy.kubeconfig, self.scene.namespace, log)

    def kill(self, exchange: Exchange) -> None:
        """Whoever asked dies, or all."""
        for proxy in self.proxies if self.alive is Alive.TWO_BOTH_DIE else [exchange.proxy]:
            self.operators[proxy].kill()
        self.killed.set()

    async def replace(self) -> None:
        """After the kill one operator is there, as before, or again."""
        await self.killed.wait()
        dead = [proxy for proxy, operator in self.operators.items() if not operator.process.is_alive()]
        if len(dead) == len(self.proxies):
            self.start(dead[0])

    def said(self) -> str:
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob(f"{self.scene.namespace}-*.log")))


async def swept(grounds: Grounds, scenario: Scenario, alive: Alive, folder: Path) -> Swept:
    """Kill at every write of the longer of two undisturbed runs, and before and after each."""
    references = await asyncio.gather(*(ran(grounds, scenario, alive, None, folder) for _ in range(2)))
    expected = references[0].end
    assert references[1].end == expected, difference(expected, references[1].end)
    result = Swept(scenario.name, alive, max(len(one.writes) for one in references))
    places = asyncio.Semaphore(AT_ONCE)

    async def case(kill: Kill) -> None:
        async with places:
            await _case(grounds, scenario, kill, folder, expected, result)

    await asyncio.gather(*(case(kill) for kill in kills(result.writes)))
    return result


def kills(writes: int) -> Iterator[Kill]:
    for write in range(1, writes + 1):
        yield Kill(write, after=False)
        yield Kill(write, after=True)


async def _case(
    grounds: Grounds, scenario: Scenario, kill: Kill, folder: Path, expected: End, result: Swept
) -> None:
    for _ in range(2):
        try:
            one = await ran(grounds, scenario, result.alive, kill, folder)
        except AssertionError as failure:
            result.failures[str(kill)] = str(failure)
            return
        if one.end != expected:
            result.failures[f"{kill} ({one.writes[kill.write - 1]})"] = difference(expected, one.end)
            return
        if one.killed:
            result.kills += 1
            return
    result.unreached.append(str(kill))


async def ran(grounds: Grounds, scenario: Scenario, alive: Alive, kill: Kill | None, folder: Path) -> Ran:
    """The scenario once, from an empty namespace to its end. Raises AssertionError when it does not end."""
    scene = await grounds.scene(scenario.script)
    async with _cast(grounds, scene, folder, alive) as cast:
        armed = Armed(WRITES, times=1, spared=kill.write - 1) if kill is not None else Armed(WRITES, times=0)
        armed.fault = faults.killed_after(cast.kill) if kill is not None and kill.after else faults.killed_before(cast.kill)
        for proxy in cast.proxies:
            proxy.armed.append(armed)
            cast.start(proxy)
        replacing = asyncio.create_task(cast.replace())
        try:
            async with asyncio.timeout(SECONDS):
                await scene.ask(**scenario.spec)
                await scenario.story(scene)
        except (AssertionError, TimeoutError) as failure:
            raise AssertionError(f"{scene.shown()}: {failure}\n{cast.said()}") from failure
        finally:
            replacing.cancel()
        writes = tuple(str(request) for proxy in cast.proxies for request in proxy.writes())
        end = ending(scene)
    await scene.leave()
    return Ran(end, writes, cast.killed.is_set())


@contextlib.asynccontextmanager
async def _cast(grounds: Grounds, scene: Scene, folder: Path, alive: Alive) -> AsyncIterator[Cast]:
    """Proxies for the operators of a case; at the end all are dead."""
    cast = Cast(grounds, scene, folder, alive)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(lambda: [operator.kill() for operator in cast.operators.values()])
        for number in range(1 if alive is Alive.ONE else 2):
            copy = folder / f"{scene.namespace}-{number}.kubeconfig"
            cast.proxies.append(await stack.enter_async_context(FaultProxy(grounds.kubeconfig, copy)))
        yield cast


def ending(scene: Scene) -> End:
    """What is left of a run, without what no two runs share."""
    benchmark = scene.benchmark()
    status = masked(benchmark["status"]) if benchmark is not None else {}
    witness, namespace = scene.grounds.witness, scene.namespace
    jobs = Counter(nameless(name) for name, _ in witness.ever(JOBS, namespace))
    pods = Counter(nameless(name) for name, _ in witness.ever(PODS, namespace))
    return End(status, jobs, pods)


def masked(value: Any) -> Any:
    """A part of a status without times, costs, UIDs and names."""
    if isinstance(value, dict):
        return {key: masked(one) for key, one in value.items() if not TIMES.search(key)}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return nameless(value) if isinstance(value, str) else value


def nameless(text: str) -> str:
    """Without the part of the UID in a job's name."""
    return re.sub(rf"\b({NAME}|next)-[0-9a-f]{{5}}-", r"\1-UID-", text)


def difference(expected: End, found: End) -> str:
    """The parts that differ, as a sentence."""
    parts = []
    for name, one, other in (("jobs", expected.jobs, found.jobs), ("pods", expected.pods, found.pods)):
        if one != other:
            parts.append(f"{name} were {dict(other)}, not {dict(one)}")
    for key in sorted(expected.status.keys() | found.status.keys()):
        one, other = expected.status.get(key), found.status.get(key)
        if one != other:
            parts.append(f"{key} is {json.dumps(other)}, not {json.dumps(one)}")
    return "; ".join(parts)
