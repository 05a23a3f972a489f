"""Kills operators at every write, and compares each run with an undisturbed one.

A write is every POST, PUT, PATCH and DELETE that the operators send, Events included. `before` the n-th: the API
server never hears of it; `after`: it is done, and the operator never learns. When nobody is left alive, one operator
is started again: with a true view of the cluster, or at first with one that is some writes old.

Which write is the n-th differs from run to run, where Events and requests are side by side. So a kind of write at
which no kill by number came is killed at by its kind.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from testkit.faults import fault_kinds
from testkit.faults.cases import Cast, Disturbance, End, Ran, ran
from testkit.faults.multi_namespace import Grounds
from testkit.faults.scenarios import Scenario
from testkit.faults.stale_reads import Past
from testkit.operators.proxy import Armed, Exchange, Where, where

WRITES = where("create update patch delete")
AT_ONCE = 8
"""Operators side by side."""

TRIES = 5
"""How often a kill is tried whose write does not come: by another timing two passes or two Events may become one, and
so the last writes are not in every run. A run that was spared must have had fewer writes: see `_noted`."""

LEAST_SHARE = 0.75
"""Of all kills at the writes of the longest run, those that must have come."""


class Alive(Enum):
    """How many operators run, and which of them die."""

    ONE = "one operator"
    TWO_ONE_DIES = "two operators, one is killed"
    TWO_BOTH_DIE = "two operators, both are killed"

    @property
    def operators(self) -> int:
        return 1 if self is Alive.ONE else 2


@dataclass(frozen=True)
class Kill:
    """A point in a run."""

    write: int
    """From 1."""
    after: bool
    kind: str = ""
    """Only writes of this kind are counted, such as `create pytorchjobs`; empty: all are."""

    @property
    def where(self) -> Where:
        return where(*self.kind.split()) if self.kind else WRITES

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.kind or 'write'} {self.write}"


@dataclass
class Swept:
    """What a sweep has come to."""

    scenario: str
    how: str
    writes: int
    """Of the longer undisturbed run."""
    kinds: frozenset[str]
    """Of the writes, those that every undisturbed run has, such as `create pytorchjobs`."""
    struck: dict[Kill, str] = field(default_factory=dict)
    """The kills that came, and the kind of write that each met."""
    failures: dict[str, str] = field(default_factory=dict)
    """Kill to what was wrong after it."""
    unreached: list[Kill] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many came of those at the n-th write of all."""
        return sum(not kill.kind for kill in self.struck)

    @property
    def missed(self) -> list[Kill]:
        """One for each kind of write at which none came before, or none after."""
        met = {(kind, kill.after) for kill, kind in self.struck.items()}
        return [
            Kill(1, after, kind) for kind in sorted(self.kinds) for after in (False, True) if (kind, after) not in met
        ]

    def assert_whole(self) -> None:
        """Each kind of write was killed before and after, most single writes were, and nothing was wrong."""
        assert not self.failures, "\n".join(f"{kill}: {wrong}" for kill, wrong in self.failures.items())
        assert not self.missed, f"these kills never came: {', '.join(map(str, self.missed))}"
        assert self.kills >= LEAST_SHARE * 2 * self.writes, f"{self.kills} kills at {self.writes} writes"


async def swept(
    grounds: Grounds, scenario: Scenario, folder: Path, alive: Alive = Alive.ONE, writes_behind: int = 0
) -> Swept:
    """Kill before and after every write; whoever returns sees the cluster as it was some writes before."""
    usual, *references = await asyncio.gather(
        ran(grounds, scenario, folder), *(ran(grounds, scenario, folder, operators=alive.operators) for _ in range(2))
    )
    expected = usual.end
    for one in references:
        assert one.end == expected, expected.difference(one.end)
    kinds = frozenset.intersection(*(frozenset(map(str, one.writes)) for one in references))
    how = f"{alive.value}{f', view {writes_behind} writes old' if writes_behind else ''}"
    result = Swept(scenario.name, how, max(len(one.writes) for one in references), kinds)
    places = asyncio.Semaphore(AT_ONCE // alive.operators)

    async def case(kill: Kill) -> None:
        async with places:
            for _ in range(TRIES):
                disturbance = killing(kill, alive, writes_behind)
                if await _noted(ran(grounds, scenario, folder, disturbance, alive.operators), kill, expected, result):
                    return
            result.unreached.append(kill)

    await asyncio.gather(*(case(kill) for kill in kills(result.writes)))
    await asyncio.gather(*(case(kill) for kill in result.missed))
    return result


def kills(writes: int) -> Iterator[Kill]:
    """Every point in a run of so many writes."""
    for write in range(1, writes + 1):
        yield Kill(write, after=False)
        yield Kill(write, after=True)


def killing(kill: Kill, alive: Alive, writes_behind: int = 0) -> Disturbance:
    """The n-th write of all operators together is the last of whoever sends it, or of all."""

    def disturbance(cast: Cast) -> None:
        def die(exchange: Exchange) -> None:
            cast.kill(exchange.request, *(cast.proxies if alive is Alive.TWO_BOTH_DIE else [exchange.proxy]))

        past = Past.of(cast.scene, writes_behind) if writes_behind else None
        fault = (fault_kinds.killed_after if kill.after else fault_kinds.killed_before)(die)
        armed = Armed(kill.where, fault=fault, times=1, spared=kill.write - 1)
        for proxy in cast.proxies:
            if past is not None:
                proxy.lookers.append(past.look)
            proxy.armed.append(armed)
        if past is not None:
            cast.on_return = lambda: past.show(cast.proxies[0])

    return disturbance


async def _noted(run: Awaitable[Ran], kill: Kill, expected: End, result: Swept) -> bool:
    """Whether the kill came to pass; what was wrong after it is noted."""
    try:
        one = await run
    except AssertionError as failure:
        result.failures[str(kill)] = str(failure)
        return True
    if wrong := expected.difference(one.end):
        result.failures[f"{kill}, {one.killed_at or 'not reached'}"] = wrong
    elif one.killed_at is not None:
        result.struck[kill] = str(one.killed_at)
    elif kill.after and one.faults:
        return False  # the run ended between the write and the kill
    elif (writes := sum(map(kill.where.meets, one.over))) >= kill.write:
        result.failures[str(kill)] = f"nobody was killed, though there were {writes} writes"
    else:
        return False
    return True
