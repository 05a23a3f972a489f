"""Builds a case for each fault on each call, and for each fault on all calls at once.

The table from which the operator's rights are generated lists the requests that it may send. Several parts of the
operator send lists, and each handles errors in its own way; the query distinguishes them.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdbench.controller.apiserver.rbac import rights
from testkit.faults import fault_kinds
from testkit.faults.cases import CaseRun, OperatorGroup, run_case
from testkit.faults.multi_namespace import Sandbox, SharedCluster
from testkit.faults.scenarios import EVERY_CALL, Scenario
from testkit.operators.proxy import Armed, Exchange, Fault, FaultProxy, Request, Where, where

MEETING_SECONDS, LOOK_SECONDS = 120, 0.2

CODES = (400, 401, 403, 404, 409, 410, 422, 500, 503, 504)
FAULTS: dict[str, Fault] = {
    **{str(code): fault_kinds.refused(code) for code in CODES},
    "429": fault_kinds.refused(429, retry_after=1),
    "reset": fault_kinds.reset,
    "unheard": fault_kinds.unheard,
    "slow": fault_kinds.slow(2),
}

DONE = {"unheard", "slow", "404"}
"""Faults after which the request is done, or the operator may believe that it is; so one is enough."""

WATCHES_UNHEARD_OF = {"409", "422", "unheard", "slow"}
"""Faults that cannot happen to a watch, or that are a watch's normal behaviour."""

PROBE, LOOK_ROUND, PASS = r"^limit=1$", r"^limit=\d+&continue=$", r"^limit=\d+&continue=&labelSelector=\S+%3D"
WATCHER = r"^limit=\d\d+(&labelSelector=[^%]+)?$"
LISTS = {
    "list stablediffusionbenchmarks": {"the probe": PROBE, "the look round": LOOK_ROUND, "the watcher": WATCHER},
    "list pytorchjobs": {"the probe": PROBE, "a pass": PASS, "the watcher": WATCHER},
    "list pods": {"a pass": PASS, "the watcher": WATCHER},
}
"""The sender of a list, by its query."""

DISCOVERED = (
    *("/api", "/apis", "/api/v1", "/apis/sdbench.dev/v1alpha1", "/apis/kubeflow.org/v1"),
    "/apis/apiextensions.k8s.io/v1 /apis/admissionregistration.k8s.io/v1",
)
"""Discovery paths that the watcher reads when it starts. They need no right."""


@dataclass(frozen=True)
class Call:
    """One kind of request that the operator sends."""

    verb: str
    resources: str
    sender: str = ""
    query: str = ""

    @property
    def place(self) -> Where:
        return where(self.verb, self.resources, query=self.query)

    def __str__(self) -> str:
        return f"{self.verb} {self.resources}{f' of {self.sender}' if self.sender else ''}"


def calls() -> Iterator[Call]:
    """Every call in the table of rights, and those that need no right."""
    for right in rights():
        if not right.resource.endswith("/finalizers"):
            senders = LISTS.get(f"{right.verb} {right.resource}", {"": ""})
            yield from (Call(right.verb, right.resource, sender, query) for sender, query in senders.items())
    yield from (Call("list", paths) for paths in DISCOVERED)


CALLS = tuple(calls())
WATCHES = tuple(call for call in CALLS if call.verb == "watch")
FIRST_JOB = where("create", "pytorchjobs")


def applies(fault: str, call: Call) -> bool:
    """Whether the fault can happen to the call; docs/faults.md lists the exceptions and their reasons."""
    return call.verb != "watch" or fault not in WATCHES_UNHEARD_OF


@dataclass
class Case:
    """A fault on the first `times` requests of each of some calls."""

    fault: Fault
    calls: tuple[Call, ...]
    times: int = 1
    least: int = 1
    """The least number of faults on each call."""
    proxy: FaultProxy | None = None
    armed: dict[Call, Armed] = field(default_factory=dict)

    def disturb(self, group: OperatorGroup) -> None:
        self.proxy = group.proxies[0]
        self.armed = {call: self.proxy.arm(call.place, self.fault, self.times) for call in self.calls}

    def missing(self) -> str:
        """The calls without enough faults, and the watches that never started without one; empty if there are none."""
        seen = self.proxy.seen if self.proxy is not None else []
        faults_of = {str(call): armed.hits for call, armed in self.armed.items()}
        unmet = [f"{name} failed {times} times" for name, times in faults_of.items() if times < self.least]
        watched = Counter(str(request) for request in seen if request.verb == "watch")
        deaf = [f"no {call}" for call in map(str, WATCHES) if watched[call] <= faults_of.get(call, 0)]
        return ", ".join(unmet + deaf)


@dataclass
class AllRefused(Case):
    """Refuses all requests for a time, from the operator's first job on, and cuts its watches."""

    seconds: float = 12
    started: bool = False
    lifted: int | None = None
    """The number of requests that had been sent when it ended."""
    lifting: asyncio.Task[None] | None = None

    def disturb(self, group: OperatorGroup) -> None:
        self.proxy = group.proxies[0]
        self.proxy.observers.append(self._look)

    def missing(self) -> str:
        if self.proxy is None or self.lifted is None:
            return "it is not over yet"
        since = {str(request) for request in self.proxy.seen[self.lifted :]}
        return ", ".join(f"no {call}" for call in map(str, WATCHES) if call not in since)

    async def _look(self, exchange: Exchange) -> None:
        if self.started or not FIRST_JOB.matches(exchange.request):
            return
        self.started = True
        armed = exchange.proxy.arm(where(), self.fault)
        await exchange.proxy.end_watches(where())
        self.lifting = asyncio.create_task(self._lift(exchange.proxy, armed))

    async def _lift(self, proxy: FaultProxy, armed: Armed) -> None:
        await asyncio.sleep(self.seconds)
        await proxy.end_watches(where())  # one may have been opening when the others were cut
        armed.disarm()
        self.lifted = len(proxy.seen)


def case(name: str, fault: Fault, failed: Iterable[Call], times: int = 1) -> Case:
    """The Case of a fault with this name."""
    return Case(fault, tuple(failed), times, least=1 if name in DONE else times)


async def failures_after(
    shared_cluster: SharedCluster, folder: Path, cases: dict[str, Case], at_once: int
) -> tuple[dict[str, str], dict[str, CaseRun]]:
    """Runs all cases; returns the failures and the runs that ended, both by case name."""
    undisturbed = asyncio.create_task(run_case(shared_cluster, EVERY_CALL, folder))
    places = asyncio.Semaphore(at_once)
    wrong: dict[str, str] = {}
    runs: dict[str, CaseRun] = {}

    async def one(name: str, of: Case) -> None:
        async with places:
            try:
                runs[name] = found = await run_case(shared_cluster, until_every_fault_has_hit(of), folder, of.disturb)
            except AssertionError as failure:
                wrong[name] = str(failure)
                return
        reference = await undisturbed
        if message := reference.end.difference(found.end) or of.missing() or excess_requests(reference, found):
            wrong[name] = message

    await asyncio.gather(*(one(name, of) for name, of in cases.items()))
    assert_known(await undisturbed)
    return wrong, runs


def until_every_fault_has_hit(of: Case) -> Scenario:
    """The scenario EVERY_CALL, and then time for the calls that it does not cause: periodic ones, and watches."""

    async def story(sandbox: Sandbox) -> None:
        await EVERY_CALL.story(sandbox)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MEETING_SECONDS):
                while of.missing():
                    await asyncio.sleep(LOOK_SECONDS)

    return replace(EVERY_CALL, story=story)


def assert_known(run: CaseRun) -> None:
    """Checks that every request of the operator is exactly one of CALLS, and that every call is made."""
    kinds = [[str(call) for call in CALLS if call.place.matches(request)] for request in run.seen]
    unknown = {str(request) for request, found in zip(run.seen, kinds, strict=True) if len(found) != 1}
    assert not unknown, f"requests that match no call of the table, or several: {unknown}"
    assert {name for found in kinds for name in found} == {str(call) for call in CALLS}


def excess_requests(reference: CaseRun, found: CaseRun) -> str:
    """The calls that were repeated more often than faults and failed passes explain; empty if none."""
    usual, sent = counted(reference.seen), counted(found.seen)
    failed = found.faults
    too_many = {call: number for call, number in sent.items() if number > 2 * usual[call] + failed + 3}
    return f"{too_many} requests after {failed} faults, usually {dict(usual)}" if too_many else ""


def counted(seen: Iterable[Request]) -> Counter[str]:
    return Counter(str(request) for request in seen)
