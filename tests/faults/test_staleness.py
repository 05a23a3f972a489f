"""Tests that an operator that sees an old state creates no second child and deletes no living one.

For some seconds GET and LIST tell of an earlier moment, while writes meet the cluster as it is. All cases run at the
same time. tests/long does so at every write of every scenario.
"""

import asyncio
from pathlib import Path

from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Script, measured
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import ONE, TWO
from testkit.faults.stale_reads import ALL_OLD, JOBS_LISTED_OLD, Snapshot, show, snapshot
from testkit.operators.proxy import Exchange, Where, where
from testkit.operators.stepped_operator import SteppedOperator, failures_of, stepped_operator
from testkit.server.direct import JOBS

pytest_plugins = ["testkit.server.fixtures"]

FIRST_WRITE, FIRST_JOB = where("update"), where("create", "pytorchjobs")


async def test_an_operator_with_stale_reads_neither_duplicates_nor_deletes(
    shared_cluster: SharedCluster, tmp_path: Path
) -> None:
    cases = {
        "as before the first status": lambda: returned(shared_cluster, tmp_path, FIRST_WRITE, ALL_OLD),
        "as before the job": lambda: returned(shared_cluster, tmp_path, FIRST_JOB, ALL_OLD),
        "jobs listed as before the job": lambda: returned(shared_cluster, tmp_path, FIRST_JOB, JOBS_LISTED_OLD),
        "jobs listed as before the job, which has no pods": lambda: returned_before_pods(shared_cluster, tmp_path),
        "as while the last trial ran": lambda: during_the_next(shared_cluster, tmp_path, ALL_OLD),
        "jobs listed as while the last trial ran": lambda: during_the_next(shared_cluster, tmp_path, JOBS_LISTED_OLD),
    }
    assert await failures_of(cases) == {}


async def returned(shared_cluster: SharedCluster, folder: Path, moment: Where, old: Where) -> None:
    """Starts an operator that sees the state before a request, while a Trial runs."""
    go_on = asyncio.Event()
    async with stepped_operator(shared_cluster, folder, held(go_on, devices=1)) as case:
        views: list[Snapshot] = []

        async def look(exchange: Exchange) -> None:
            if moment.matches(exchange.request) and not views:
                views.append(await snapshot(case.sandbox))

        case.proxy.observers.append(look)
        await case.running()
        await ends_as_if_nothing_was(case, views[0], old, go_on, trials=1)


async def returned_before_pods(shared_cluster: SharedCluster, folder: Path) -> None:
    """Checks an operator for which only the job itself says that it exists."""
    go_on = asyncio.Event()
    async with stepped_operator(shared_cluster, folder, measured) as case:
        script = shared_cluster.kubelet.scripts.pop(case.sandbox.namespace)
        view = await snapshot(case.sandbox)
        await case.sandbox.create(devices=ONE)
        await shared_cluster.objects.until(lambda: seen_uid(case), "the row to name its job's UID")
        await ends_as_if_nothing_was(case, view, JOBS_LISTED_OLD, go_on, trials=1, script=script)


def seen_uid(case: SteppedOperator) -> bool:
    rows = (case.sandbox.benchmark() or {}).get("status", {}).get("trials", ())
    return any("jobUID" in row for row in rows)


async def during_the_next(shared_cluster: SharedCluster, folder: Path, old: Where) -> None:
    """Starts an operator that sees the state of the first Trial, while the second runs."""
    first, second = asyncio.Event(), asyncio.Event()
    script = held(first, devices=1), held(second, devices=2)
    async with stepped_operator(shared_cluster, folder, lambda run, index: script[run.devices - 1](run, index)) as case:
        await case.sandbox.create(devices=TWO)
        await case.sandbox.until_row(0, "Running")
        view = await snapshot(case.sandbox)
        first.set()
        await case.sandbox.until_row(1, "Running")
        await ends_as_if_nothing_was(case, view, old, second, trials=2)


def held(go_on: asyncio.Event, devices: int) -> Script:
    """A pod that succeeds once the test allows it."""

    def script(run: RunConfig, index: int) -> End | None:
        assert run.devices == devices
        return measured(run, index) if go_on.is_set() else None

    return script


async def ends_as_if_nothing_was(
    case: SteppedOperator, view: Snapshot, old: Where, go_on: asyncio.Event, trials: int, script: Script | None = None
) -> None:
    case.group.killed.set()
    armed = show(view, case.proxy, old)
    case.restart()
    await armed.hit.wait()
    while armed.live:
        await asyncio.sleep(0.1)
    go_on.set()
    if script is not None:
        case.sandbox.play(script)
    answer = await case.sandbox.until_holds("CleanedUp")
    rows = answer["status"]["trials"]
    assert [(row["phase"], row["attempt"], row["failures"]) for row in rows] == [("Succeeded", 1, 0)] * trials
    assert len(case.sandbox.shared_cluster.objects.ever(JOBS, case.sandbox.namespace)) == trials
