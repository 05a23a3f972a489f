"""Plays a scenario once behind proxies, and compares its outcome with an undisturbed run.

operators ──► FaultProxy (one each) ──► API server ◄── object log, fake kubelet
                  ▲ a Disturbance arms faults
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

from testkit.faults.multi_namespace import NAME, Sandbox, SharedCluster
from testkit.faults.scenarios import Scenario
from testkit.operators.forked_operator import ForkedOperator, forked
from testkit.operators.proxy import FaultProxy, Request
from testkit.server.direct import JOBS, PODS, Document

SECONDS = 400
"""Timeout of a case, which then fails with the state of its Benchmark."""

OWN = re.compile(r"At$|Time$|^spent|UID$|^podsChecksum$|^resourceVersion$")
"""Keys of a status whose values differ in every run."""

_numbers = count()


@dataclass(frozen=True)
class End:
    """What must equal an undisturbed run: the status, and how many jobs and pods of each name ever existed."""

    status: Document
    jobs: Counter[str]
    pods: Counter[str]

    def difference(self, found: "End") -> str:
        """What differs in another End, as a message; empty if nothing."""
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
class CaseRun:
    """One run of a scenario."""

    end: End
    seen: tuple[Request, ...]
    """The operators' requests."""
    answered: tuple[Request, ...]
    """The requests that had got their response when the scenario ended."""
    killed_at: Request | None
    """The request at which an operator was killed."""
    faults: int
    """The number of requests to which a fault applied."""

    @property
    def writes(self) -> tuple[Request, ...]:
        return tuple(request for request in self.seen if request.writes)


@dataclass
class OperatorGroup:
    """The operators of one case, each behind its own proxy. If none is left, one is restarted."""

    sandbox: Sandbox
    folder: Path
    proxies: list[FaultProxy] = field(default_factory=list)
    operators: dict[FaultProxy, ForkedOperator] = field(default_factory=dict)
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    killed_at: Request | None = None
    on_return: Callable[[], None] = lambda: None
    """Called before an operator is restarted."""

    def start(self, proxy: FaultProxy) -> None:
        log = self.folder / f"{self.sandbox.namespace}-{next(_numbers)}.log"
        self.operators[proxy] = forked(proxy.kubeconfig, self.sandbox.namespace, log)

    def kill(self, request: Request, *proxies: FaultProxy) -> None:
        """Sends SIGKILL to the operators behind these proxies, at this request of one of them."""
        self.killed_at = request
        for proxy in proxies:
            self.operators[proxy].kill()
        self.killed.set()

    def end(self) -> None:
        for operator in self.operators.values():
            operator.kill()

    async def replace(self) -> None:
        """Waits for a kill, and restarts an operator if none is alive."""
        await self.killed.wait()
        if not any(operator.process.is_alive() for operator in self.operators.values()):
            self.on_return()
            self.start(self.proxies[0])

    def demand_alive(self) -> None:
        """Raises AssertionError if an operator has ended that was not killed."""
        dead = [one for one in self.operators.values() if not one.process.is_alive()]
        assert self.killed.is_set() or not dead, f"an operator has ended by itself: {dead[0].log_tail()}"

    def log_tail(self) -> str:
        logs = sorted(self.folder.glob(f"{self.sandbox.namespace}-*.log"))
        return "\n".join(log.read_text()[-1500:] for log in logs)


Disturbance = Callable[[OperatorGroup], None]


def undisturbed(group: OperatorGroup) -> None:
    """Disturbs nothing."""


async def run_case(
    shared_cluster: SharedCluster,
    scenario: Scenario,
    folder: Path,
    disturbance: Disturbance = undisturbed,
    operators: int = 1,
) -> CaseRun:
    """Plays the scenario from an empty namespace to its end. Raises AssertionError if it does not get there."""
    sandbox = await shared_cluster.sandbox(scenario.script)
    async with operator_group(sandbox, folder, operators) as group:
        disturbance(group)
        for proxy in group.proxies:
            group.start(proxy)
        replacing = asyncio.create_task(group.replace())
        try:
            async with asyncio.timeout(SECONDS):
                await sandbox.create(**scenario.spec)
                await scenario.story(sandbox)
            group.demand_alive()
        except (AssertionError, TimeoutError) as failure:
            raise AssertionError(f"{sandbox.shown()}: {failure}\n{group.log_tail()}") from failure
        finally:
            replacing.cancel()
        seen = tuple(request for proxy in group.proxies for request in proxy.seen)
        answered = tuple(request for proxy in group.proxies for request in proxy.answered)
        hits = sum({id(armed): armed.hits for proxy in group.proxies for armed in proxy.armed}.values())
        result = CaseRun(ending(sandbox), seen, answered, group.killed_at, hits)
    await sandbox.leave()
    assert_deletions_name_a_uid(result)
    return result


@contextlib.asynccontextmanager
async def operator_group(sandbox: Sandbox, folder: Path, operators: int = 1) -> AsyncIterator[OperatorGroup]:
    """A case's proxies, with no operator running yet; operators that are started are killed at the end."""
    group = OperatorGroup(sandbox, folder)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(operators):
            copy = folder / f"{sandbox.namespace}-{number}.kubeconfig"
            group.proxies.append(await stack.enter_async_context(FaultProxy(sandbox.shared_cluster.kubeconfig, copy)))
        stack.callback(group.end)
        yield group


def assert_deletions_name_a_uid(run: CaseRun) -> None:
    """Checks every deletion's UID precondition, without which another object of the same name could be deleted."""
    for request in run.writes:
        if request.verb == "delete":
            assert json.loads(request.body).get("preconditions", {}).get("uid"), f"{request} names no UID"


def ending(sandbox: Sandbox) -> End:
    """A run's End, without what differs in every run."""
    benchmark = sandbox.benchmark()
    status = masked(benchmark["status"]) if benchmark is not None else {}
    objects, namespace = sandbox.shared_cluster.objects, sandbox.namespace
    jobs = Counter(nameless(name) for name, _ in objects.ever(JOBS, namespace))
    pods = Counter(nameless(name) for name, _ in objects.ever(PODS, namespace))
    return End(status, jobs, pods)


def masked(value: Any) -> Any:
    """A status or a part of it, without times, costs, UIDs and names."""
    if isinstance(value, dict):
        return {key: masked(one) for key, one in value.items() if not OWN.search(key)}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return nameless(value) if isinstance(value, str) else value


def nameless(text: str) -> str:
    """A text in which UID replaces the UID's part of job names."""
    return re.sub(rf"\b({NAME}|next)-[0-9a-f]{{5}}-", r"\1-UID-", text)
