"""Does every error on every call pass? A case for each fault and each call, or one for a fault on all calls at once."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from api import faults
from api.cases import Cast, Disturbance, Ran, ran
from api.grounds import Grounds
from api.proxied import Fault, Request, where
from api.scenarios import ONE_TRIAL
from sdbench.controller.rights import rights

FAULTS: dict[str, Fault] = {
    **{str(code): faults.refused(code) for code in (409, 422, 500, 503)},
    "429": faults.refused(429, retry_after=1),
    "reset": faults.reset,
    "unheard": faults.unheard,
    "slow": faults.slow(2),
}

WATCHES_UNHEARD_OF = {"409", "422", "unheard", "slow"}
"""What no API server answers to a watch, or what a watch does anyhow."""

CALLS = tuple(f"{right.verb} {right.resource}" for right in rights() if not right.resource.endswith("/finalizers"))
"""Whatever the operator may send, as in `create pytorchjobs`."""


def applies(fault: str, call: str) -> bool:
    return not (call.startswith("watch") and fault in WATCHES_UNHEARD_OF)


def failing(fault: Fault, calls: Iterable[str], times: int = 1) -> Disturbance:
    """Each of these calls fails so often, the first times that it is sent."""

    def disturbance(cast: Cast) -> None:
        for call in calls:
            verb, resource = call.split()
            cast.proxies[0].arm(where(verb, resource), fault, times)

    return disturbance


async def wrong_after(
    grounds: Grounds, folder: Path, cases: dict[str, Disturbance], at_once: int
) -> tuple[dict[str, str], dict[str, Ran]]:
    """What was wrong with one trial after each disturbance, by the case's name, and the runs that came to an end."""
    reference = await ran(grounds, ONE_TRIAL, folder)
    places = asyncio.Semaphore(at_once)
    wrong: dict[str, str] = {}
    runs: dict[str, Ran] = {}

    async def one(name: str, disturbance: Disturbance) -> None:
        async with places:
            try:
                runs[name] = found = await ran(grounds, ONE_TRIAL, folder, disturbance)
            except AssertionError as failure:
                wrong[name] = str(failure)
                return
        if said := reference.end.difference(found.end) or insisted(reference, found):
            wrong[name] = said

    await asyncio.gather(*(one(name, disturbance) for name, disturbance in cases.items()))
    return wrong, runs


def insisted(reference: Ran, found: Ran) -> str:
    """Which calls were repeated more often than their faults, and the passes that failed by them, explain."""
    usual, sent = counted(reference.seen), counted(found.seen)
    failed = found.faults
    too_many = {call: number for call, number in sent.items() if number > 2 * usual[call] + failed + 3}
    return f"{too_many} requests after {failed} faults; usual are {dict(usual)}" if too_many else ""


def counted(seen: Iterable[Request]) -> Counter[str]:
    return Counter(str(request) for request in seen)
