"""Kills operators at every write, and compares each run with an undisturbed one.

A write is every POST, PUT, PATCH and DELETE that the operators send, Events included. An operator is killed `before`
the n-th write, which then never reaches the API server, or `after` it, and then never gets the response. If no operator
is left, one is restarted, with a current view of the cluster or at first with a stale one.

Events and other requests are concurrent, so the n-th write differs from run to run. If no kill by number hits some kind
of write, a further kill targets this kind.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from testkit.faults import fault_kinds
from testkit.faults.cases import CaseRun, Disturbance, End, OperatorGroup, run_case
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import Scenario
from testkit.faults.stale_reads import Past
from testkit.operators.proxy import Armed, Exchange, Where, where

WRITES = where("create update patch delete")
AT_ONCE = 8
"""The number of operators that run at the same time."""

TRIES = 5
"""How often a kill is tried if its write does not occur. With other timing, two passes or two Events merge into one, so
not every run has the last writes. A run without a kill must have had fewer writes; `_noted` checks that."""

LEAST_SHARE = 0.75
"""The share of kills, of all writes of the longest run, that must have happened."""


class SweepMode(Enum):
    """How many operators run, and which of them die."""

    ONE = "one operator"
    TWO_ONE_DIES = "two operators, one is killed"
    TWO_BOTH_DIE = "two operators, both are killed"

    @property
    def operators(self) -> int:
        return 1 if self is SweepMode.ONE else 2


@dataclass(frozen=True)
class Kill:
    """A point in a run."""

    write: int
    """The number of the write, from 1."""
    after: bool
    kind: str = ""
    """Counts only writes of this kind, such as `create pytorchjobs`; empty means all."""

    @property
    def where(self) -> Where:
        return where(*self.kind.split()) if self.kind else WRITES

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.kind or 'write'} {self.write}"


@dataclass
class SweepResult:
    """A sweep's results."""

    scenario: str
    how: str
    writes: int
    """The number of writes of the longest undisturbed run."""
    kinds: frozenset[str]
    """The kinds of write that every undisturbed run has, such as `create pytorchjobs`."""
    struck: dict[Kill, str] = field(default_factory=dict)
    """Each kill that happened → the kind of write that it hit."""
    failures: dict[str, str] = field(default_factory=dict)
    """Kill → what was wrong after it."""
    unreached: list[Kill] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many kills at the n-th write of any kind happened."""
        return sum(not kill.kind for kill in self.struck)

    @property
    def missed(self) -> list[Kill]:
        """A kill for each kind of write that was not hit before it, or not after it."""
        met = {(kind, kill.after) for kill, kind in self.struck.items()}
        return [
            Kill(1, after, kind) for kind in sorted(self.kinds) for after in (False, True) if (kind, after) not in met
        ]

    def assert_whole(self) -> None:
        """Checks that each kind of write and most single writes were hit before and after, and nothing was wrong."""
        assert not self.failures, "\n".join(f"{kill}: {wrong}" for kill, wrong in self.failures.items())
        assert not self.missed, f"these kills never happened: {', '.join(map(str, self.missed))}"
        assert self.kills >= LEAST_SHARE * 2 * self.writes, f"{self.kills} kills at {self.writes} writes"


async def sweep_crashes(
    shared_cluster: SharedCluster,
    scenario: Scenario,
    folder: Path,
    mode: SweepMode = SweepMode.ONE,
    writes_behind: int = 0,
) -> SweepResult:
    """Kills before and after every write; a restarted operator sees the cluster as it was `writes_behind` earlier."""
    usual, *references = await asyncio.gather(
        run_case(shared_cluster, scenario, folder),
        *(run_case(shared_cluster, scenario, folder, operators=mode.operators) for _ in range(2)),
    )
    expected = usual.end
    for one in references:
        assert one.end == expected, expected.difference(one.end)
    kinds = frozenset.intersection(*(frozenset(map(str, one.writes)) for one in references))
    lag = f", view lags {writes_behind} write{'s' if writes_behind > 1 else ''}" if writes_behind else ""
    result = SweepResult(scenario.name, mode.value + lag, max(len(one.writes) for one in references), kinds)
    places = asyncio.Semaphore(AT_ONCE // mode.operators)

    async def case(kill: Kill) -> None:
        async with places:
            for _ in range(TRIES):
                disturbance = killing(kill, mode, writes_behind)
                if await _noted(
                    run_case(shared_cluster, scenario, folder, disturbance, mode.operators), kill, expected, result
                ):
                    return
            result.unreached.append(kill)

    await asyncio.gather(*(case(kill) for kill in kills(result.writes)))
    await asyncio.gather(*(case(kill) for kill in result.missed))
    return result


def kills(writes: int) -> Iterator[Kill]:
    """Every kill in a run with this number of writes."""
    for write in range(1, writes + 1):
        yield Kill(write, after=False)
        yield Kill(write, after=True)


def killing(kill: Kill, mode: SweepMode, writes_behind: int = 0) -> Disturbance:
    """Kills the operator that sends the n-th write of all operators together, or all of them."""

    def disturbance(group: OperatorGroup) -> None:
        def die(exchange: Exchange) -> None:
            group.kill(exchange.request, *(group.proxies if mode is SweepMode.TWO_BOTH_DIE else [exchange.proxy]))

        past = Past.of(group.sandbox, writes_behind) if writes_behind else None
        fault = (fault_kinds.killed_after if kill.after else fault_kinds.killed_before)(die)
        armed = Armed(kill.where, fault=fault, times=1, skip=kill.write - 1)
        for proxy in group.proxies:
            if past is not None:
                proxy.observers.append(past.look)
            proxy.armed.append(armed)
        if past is not None:
            group.on_return = lambda: past.show(group.proxies[0])

    return disturbance


async def _noted(run: Awaitable[CaseRun], kill: Kill, expected: End, result: SweepResult) -> bool:
    """Whether the kill happened; records what was wrong after it."""
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
    elif (writes := sum(map(kill.where.matches, one.answered))) >= kill.write:
        result.failures[str(kill)] = f"no operator was killed, though there were {writes} writes"
    else:
        return False
    return True
