"""Tests that an operator that was frozen during a pass does not act on what has changed meanwhile.

It is stopped between the status that says Starting and the job. The other operator creates that job, stores its result
and deletes it: the name is free then, and must not be used again.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from sdbench.controller.apiserver.client import TIME_LIMIT
from sdbench.controller.reconcile import STILL_TRUE_SECONDS
from testkit.faults.cases import OperatorGroup, operator_group
from testkit.faults.fault_matrix import PASS
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import ONE, answered
from testkit.operators.forked_operator import ForkedOperator
from testkit.operators.proxy import Exchange, Where, where
from testkit.operators.stepped_operator import failures_of
from testkit.server.direct import JOBS

pytest_plugins = ["testkit.server.fixtures"]

STORES = where("update", "stablediffusionbenchmarks/status", body='"Starting"')
LOOKS = where("get", "stablediffusionbenchmarks")
CREATES, PASSES = where("create", "pytorchjobs"), where("list", "pods", query=PASS)
SECONDS = 60
HELD_BACK = "was changed meanwhile"
REQUEST_SECONDS = TIME_LIMIT.total or 0.0
"""After that time the frozen request has failed anyway, and the test would prove nothing."""

Value = TypeVar("Value")


def freezing(group: OperatorGroup, frozen: asyncio.Event, *places: Where) -> None:
    """Freezes the first operator at the last of these requests, each the first after the one before.

    The API server has answered it then, and the operator has not heard that.
    """
    first, *others = places

    async def heard_late(exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.forward()
        if others:
            freezing(group, frozen, *others)
        else:
            tell(group.operators[exchange.proxy], signal.SIGSTOP)
            frozen.set()
        return answer

    group.proxies[0].arm(first, heard_late, times=1)


def tell(operator: ForkedOperator, number: signal.Signals) -> None:
    assert operator.process.pid is not None
    os.kill(operator.process.pid, number)


async def test_an_operator_that_was_frozen_before_it_created_a_job_does_not_create_it(
    shared_cluster: SharedCluster, tmp_path: Path
) -> None:
    cases = {
        "before it hears that its status is stored": lambda: outdated_pass(shared_cluster, tmp_path, STORES),
        "before it hears that nothing has changed": lambda: outdated_pass(shared_cluster, tmp_path, STORES, LOOKS),
    }
    assert await failures_of(cases) == {}


async def outdated_pass(shared_cluster: SharedCluster, folder: Path, *places: Where) -> None:
    """Freezes the first of two operators, and resumes it once the second has finished."""
    sandbox = await shared_cluster.sandbox()
    async with operator_group(sandbox, folder, operators=2) as group:
        slow, quick = group.proxies
        group.start(quick)
        await group.operators[quick].ready()
        tell(group.operators[quick], signal.SIGSTOP)
        frozen = asyncio.Event()
        freezing(group, frozen, *places)
        group.start(slow)
        await sandbox.create(devices=ONE)
        await within(frozen.wait(), "the first operator to be frozen")
        tell(group.operators[quick], signal.SIGCONT)
        since = time.monotonic()
        await answered(sandbox)
        # The fault must last this long to be one; nothing is awaited.
        await asyncio.sleep(max(0.0, since + STILL_TRUE_SECONDS + 1 - time.monotonic()))
        next_pass = slow.arm(PASSES, Exchange.forward, times=1)
        tell(group.operators[slow], signal.SIGCONT)
        await within(next_pass.hit.wait(), "its next pass")
        assert [str(request) for request in slow.seen if CREATES.matches(request)] == []
        assert len(shared_cluster.objects.ever(JOBS, sandbox.namespace)) == 1
        assert HELD_BACK in group.operators[slow].log_tail() or time.monotonic() - since > REQUEST_SECONDS
        group.demand_alive()
    await sandbox.leave()


async def within(coming: Awaitable[Value], what: str) -> Value:
    try:
        return await asyncio.wait_for(coming, SECONDS)
    except TimeoutError:
        raise AssertionError(f"waited {SECONDS} s for {what}") from None
