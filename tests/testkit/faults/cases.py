"""Plays a scenario once behind proxies, and compares its outcome with an undisturbed run.

operators ──► FaultProxy (one each) ──► API server ◄── Witness, Company
                  ▲ armed by the case's disturbance
"""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from testkit.faults.multi_namespace import NAME, Grounds, Scene
from testkit.faults.scenarios import Scenario
from testkit.operators.forked_operator import ForkedOperator, forked
from testkit.operators.proxy import FaultProxy, Request
from testkit.server.direct import JOBS, PODS, Document

SECONDS = 400
"""Longest case; it fails, and says where it stands."""

OWN = re.compile(r"At$|Time$|^spent|UID$|^podsChecksum$|^resourceVersion$")
"""Keys of a status whose values no two runs share."""

_numbers = count()


@dataclass(frozen=True)
class End:
    """What must not differ from an undisturbed run: the answer, and how many of each name were ever made."""

    status: Document
    jobs: Counter[str]
    pods: Counter[str]

    def difference(self, found: "End") -> str:
        """The parts in which another end differs, as a sentence; empty: in none."""
        parts = []
        for name, one, other in (("jobs", self.jobs, found.jobs), ("pods", self.pods, found.pods)):
            if one != other:
                parts.append(f"{name} were {dict(other)}, not {dict(one)}")
        for key in sorted(self.status.keys() | found.status.keys()):
            mine, its = self.status.get(key), found.status.get(key)
            if mine != its:
                parts.append(f"{key} is {json.dumps(its)}, not {json.dumps(mine)}")
        return "; ".join(parts)


@dataclass(frozen=True)
class Ran:
    """One run of a scenario."""

    end: End
    seen: tuple[Request, ...]
    """What the operators asked for."""
    over: tuple[Request, ...]
    """Those that had had their answer when the scenario came to its end."""
    killed_at: Request | None
    """The request at which an operator was killed."""
    faults: int
    """How many requests met with one."""

    @property
    def writes(self) -> tuple[Request, ...]:
        return tuple(request for request in self.seen if request.writes)


@dataclass
class Cast:
    """The operators of one case, each behind its own proxy. One that dies is started again when nobody is left."""

    scene: Scene
    folder: Path
    proxies: list[FaultProxy] = field(default_factory=list)
    operators: dict[FaultProxy, ForkedOperator] = field(default_factory=dict)
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    killed_at: Request | None = None
    on_return: Callable[[], None] = lambda: None
    """Called before an operator is started again."""

    def start(self, proxy: FaultProxy) -> None:
        log = self.folder / f"{self.scene.namespace}-{next(_numbers)}.log"
        self.operators[proxy] = forked(proxy.kubeconfig, self.scene.namespace, log)

    def kill(self, request: Request, *proxies: FaultProxy) -> None:
        """SIGKILL of the operators behind these proxies, when one of them asks for this."""
        self.killed_at = request
        for proxy in proxies:
            self.operators[proxy].kill()
        self.killed.set()

    def end(self) -> None:
        for operator in self.operators.values():
            operator.kill()

    async def replace(self) -> None:
        """After a kill somebody is there, still or again."""
        await self.killed.wait()
        if not any(operator.process.is_alive() for operator in self.operators.values()):
            self.on_return()
            self.start(self.proxies[0])

    def demand_alive(self) -> None:
        """Of operators that nobody has killed."""
        dead = [one for one in self.operators.values() if not one.process.is_alive()]
        assert self.killed.is_set() or not dead, f"an operator has died: {dead[0].said()}"

    def said(self) -> str:
        logs = sorted(self.folder.glob(f"{self.scene.namespace}-*.log"))
        return "\n".join(log.read_text()[-1500:] for log in logs)


Disturbance = Callable[[Cast], None]


def undisturbed(cast: Cast) -> None:
    """Nothing happens."""


async def ran(
    grounds: Grounds, scenario: Scenario, folder: Path, disturbance: Disturbance = undisturbed, operators: int = 1
) -> Ran:
    """The scenario once, from an empty namespace to its end. Raises AssertionError when it does not come to it."""
    scene = await grounds.scene(scenario.script)
    async with cast_of(scene, folder, operators) as cast:
        disturbance(cast)
        for proxy in cast.proxies:
            cast.start(proxy)
        replacing = asyncio.create_task(cast.replace())
        try:
            async with asyncio.timeout(SECONDS):
                await scene.ask(**scenario.spec)
                await scenario.story(scene)
            cast.demand_alive()
        except (AssertionError, TimeoutError) as failure:
            raise AssertionError(f"{scene.shown()}: {failure}\n{cast.said()}") from failure
        finally:
            replacing.cancel()
        seen = tuple(request for proxy in cast.proxies for request in proxy.seen)
        over = tuple(request for proxy in cast.proxies for request in proxy.over)
        hits = sum({id(armed): armed.hits for proxy in cast.proxies for armed in proxy.armed}.values())
        result = Ran(ending(scene), seen, over, cast.killed_at, hits)
    await scene.leave()
    assert_deletions_name_a_uid(result)
    return result


@contextlib.asynccontextmanager
async def cast_of(scene: Scene, folder: Path, operators: int = 1) -> AsyncIterator[Cast]:
    """Proxies for the operators of a case, none of which runs yet; at the end all are dead."""
    cast = Cast(scene, folder)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(operators):
            copy = folder / f"{scene.namespace}-{number}.kubeconfig"
            cast.proxies.append(await stack.enter_async_context(FaultProxy(scene.grounds.kubeconfig, copy)))
        stack.callback(cast.end)
        yield cast


def assert_deletions_name_a_uid(run: Ran) -> None:
    """Else a namesake could be deleted."""
    for request in run.writes:
        if request.verb == "delete":
            assert json.loads(request.body).get("preconditions", {}).get("uid"), f"{request} names no UID"


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
        return {key: masked(one) for key, one in value.items() if not OWN.search(key)}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return nameless(value) if isinstance(value, str) else value


def nameless(text: str) -> str:
    """Without the part of the UID in a job's name."""
    return re.sub(rf"\b({NAME}|next)-[0-9a-f]{{5}}-", r"\1-UID-", text)
