"""Builds a case for each fault on each call, and for each fault on all calls at once.

What the operator may send is known from the table from which its rights are made. Lists are sent by several parts of
it, which treat an error each in their own way: they are told apart by what they ask for.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdbench.controller.apiserver.rbac import rights
from testkit.faults import fault_kinds
from testkit.faults.cases import Cast, Ran, ran
from testkit.faults.multi_namespace import Grounds, Scene
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
"""After them the API server has done it, or the operator may believe that nothing is left to do: once is enough."""

WATCHES_UNHEARD_OF = {"409", "422", "unheard", "slow"}
"""What no API server answers to a watch, or what a watch does anyhow."""

PROBE, LOOK_ROUND, PASS = r"^limit=1$", r"^limit=\d+&continue=$", r"^limit=\d+&continue=&labelSelector=\S+%3D"
WATCHER = r"^limit=\d\d+(&labelSelector=[^%]+)?$"
LISTS = {
    "list stablediffusionbenchmarks": {"the probe": PROBE, "the look round": LOOK_ROUND, "the watcher": WATCHER},
    "list pytorchjobs": {"the probe": PROBE, "a pass": PASS, "the watcher": WATCHER},
    "list pods": {"a pass": PASS, "the watcher": WATCHER},
}
"""Who lists, by the query."""

DISCOVERED = (
    *("/api", "/apis", "/api/v1", "/apis/sdbench.dev/v1alpha1", "/apis/kubeflow.org/v1"),
    "/apis/apiextensions.k8s.io/v1 /apis/admissionregistration.k8s.io/v1",
)
"""What the watcher reads of the API itself when it starts. Nobody needs a right for it."""


@dataclass(frozen=True)
class Call:
    """One kind of request that the operator sends."""

    verb: str
    resources: str
    asker: str = ""
    asks: str = ""

    @property
    def place(self) -> Where:
        return where(self.verb, self.resources, asks=self.asks)

    def __str__(self) -> str:
        return f"{self.verb} {self.resources}{f' of {self.asker}' if self.asker else ''}"


def calls() -> Iterator[Call]:
    """Each that the table of rights has, and what needs none."""
    for right in rights():
        if not right.resource.endswith("/finalizers"):
            askers = LISTS.get(f"{right.verb} {right.resource}", {"": ""})
            yield from (Call(right.verb, right.resource, asker, asks) for asker, asks in askers.items())
    yield from (Call("list", paths) for paths in DISCOVERED)


CALLS = tuple(calls())
WATCHES = tuple(call for call in CALLS if call.verb == "watch")
FIRST_JOB = where("create", "pytorchjobs")


def applies(fault: str, call: Call) -> bool:
    """Whether the fault happens to the call; what does not, and why, is in docs/faults.md."""
    return call.verb != "watch" or fault not in WATCHES_UNHEARD_OF


@dataclass
class Case:
    """A fault that happens to some calls, the first times that each of them is sent."""

    fault: Fault
    calls: tuple[Call, ...]
    times: int = 1
    least: int = 1
    """How often it must happen to each."""
    proxy: FaultProxy | None = None
    armed: dict[Call, Armed] = field(default_factory=dict)

    def disturb(self, cast: Cast) -> None:
        self.proxy = cast.proxies[0]
        self.armed = {call: self.proxy.arm(call.place, self.fault, self.times) for call in self.calls}

    def missing(self) -> str:
        """Which calls have not met the fault yet, and which watches were not begun without it; empty: none."""
        seen = self.proxy.seen if self.proxy is not None else []
        faults_of = {str(call): armed.hits for call, armed in self.armed.items()}
        unmet = [f"{name} failed {times} times" for name, times in faults_of.items() if times < self.least]
        watched = Counter(str(request) for request in seen if request.verb == "watch")
        deaf = [f"no {call}" for call in map(str, WATCHES) if watched[call] <= faults_of.get(call, 0)]
        return ", ".join(unmet + deaf)


@dataclass
class Outlawed(Case):
    """From its first job on, everything that the operator asks for is refused for a time. Its watches are cut then."""

    seconds: float = 12
    begun: bool = False
    lifted: int | None = None
    """How many requests had been sent when it was over."""
    lifting: asyncio.Task[None] | None = None

    def disturb(self, cast: Cast) -> None:
        self.proxy = cast.proxies[0]
        self.proxy.lookers.append(self._look)

    def missing(self) -> str:
        if self.proxy is None or self.lifted is None:
            return "it is not over yet"
        since = {str(request) for request in self.proxy.seen[self.lifted :]}
        return ", ".join(f"no {call}" for call in map(str, WATCHES) if call not in since)

    async def _look(self, exchange: Exchange) -> None:
        if self.begun or not FIRST_JOB.meets(exchange.request):
            return
        self.begun = True
        armed = exchange.proxy.arm(where(), self.fault)
        await exchange.proxy.end_watches(where())
        self.lifting = asyncio.create_task(self._lift(exchange.proxy, armed))

    async def _lift(self, proxy: FaultProxy, armed: Armed) -> None:
        await asyncio.sleep(self.seconds)
        await proxy.end_watches(where())  # of one that was being opened when the others were cut
        armed.disarm()
        self.lifted = len(proxy.seen)


def case(name: str, fault: Fault, failed: Iterable[Call], times: int = 1) -> Case:
    """Of a fault of this name."""
    return Case(fault, tuple(failed), times, least=1 if name in DONE else times)


async def wrong_after(
    grounds: Grounds, folder: Path, cases: dict[str, Case], at_once: int
) -> tuple[dict[str, str], dict[str, Ran]]:
    """What was wrong after each disturbance, by the case's name, and the runs that came to an end."""
    undisturbed = asyncio.create_task(ran(grounds, EVERY_CALL, folder))
    places = asyncio.Semaphore(at_once)
    wrong: dict[str, str] = {}
    runs: dict[str, Ran] = {}

    async def one(name: str, of: Case) -> None:
        async with places:
            try:
                runs[name] = found = await ran(grounds, until_all_is_met(of), folder, of.disturb)
            except AssertionError as failure:
                wrong[name] = str(failure)
                return
        reference = await undisturbed
        if said := reference.end.difference(found.end) or of.missing() or insisted(reference, found):
            wrong[name] = said

    await asyncio.gather(*(one(name, of) for name, of in cases.items()))
    assert_known(await undisturbed)
    return wrong, runs


def until_all_is_met(of: Case) -> Scenario:
    """The story of every call, and then some time for those that are not made for it: of the clock, and of watches."""

    async def story(scene: Scene) -> None:
        await EVERY_CALL.story(scene)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MEETING_SECONDS):
                while of.missing():
                    await asyncio.sleep(LOOK_SECONDS)

    return replace(EVERY_CALL, story=story)


def assert_known(run: Ran) -> None:
    """Every request of the operator is one of the calls that faults happen to, and every call is made."""
    kinds = [[str(call) for call in CALLS if call.place.meets(request)] for request in run.seen]
    unknown = {str(request) for request, found in zip(run.seen, kinds, strict=True) if len(found) != 1}
    assert not unknown, f"no call, or several, of the table: {unknown}"
    assert {name for found in kinds for name in found} == {str(call) for call in CALLS}


def insisted(reference: Ran, found: Ran) -> str:
    """Which calls were repeated more often than their faults, and the passes that failed by them, explain."""
    usual, sent = counted(reference.seen), counted(found.seen)
    failed = found.faults
    too_many = {call: number for call, number in sent.items() if number > 2 * usual[call] + failed + 3}
    return f"{too_many} requests after {failed} faults; usual are {dict(usual)}" if too_many else ""


def counted(seen: Iterable[Request]) -> Counter[str]:
    return Counter(str(request) for request in seen)
