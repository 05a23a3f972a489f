"""Tests that an operator that sees an old state creates no second child and deletes no living one.

For some seconds GET and LIST tell of an earlier moment, while writes meet the cluster as it is. All cases run at the
same time. tests/long does so at every write of every scenario.
"""

import asyncio
from pathlib import Path

from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Script, measured
from testkit.faults.multi_namespace import Grounds
from testkit.faults.scenarios import ONE, TWO
from testkit.faults.stale_reads import ALL_OLD, JOBS_LISTED_OLD, Snapshot, show, snapshot
from testkit.operators.proxy import Exchange, Where, where
from testkit.operators.stepped_operator import Attended, attended, wrong_in
from testkit.server.direct import JOBS

pytest_plugins = ["testkit.server.places"]

FIRST_WRITE, FIRST_JOB = where("update"), where("create", "pytorchjobs")


async def test_an_operator_with_stale_reads_neither_duplicates_nor_deletes(grounds: Grounds, tmp_path: Path) -> None:
    cases = {
        "as before the first status": lambda: restarted(grounds, tmp_path, FIRST_WRITE, ALL_OLD),
        "as before the job": lambda: restarted(grounds, tmp_path, FIRST_JOB, ALL_OLD),
        "jobs listed as before the job": lambda: restarted(grounds, tmp_path, FIRST_JOB, JOBS_LISTED_OLD),
        "jobs listed as before the job, which has no pods": lambda: restarted_before_pods(grounds, tmp_path),
        "as while the last trial ran": lambda: restarted_in_the_next(grounds, tmp_path, ALL_OLD),
        "jobs listed as while the last trial ran": lambda: restarted_in_the_next(grounds, tmp_path, JOBS_LISTED_OLD),
    }
    assert await wrong_in(cases) == {}


async def restarted(grounds: Grounds, folder: Path, moment: Where, old: Where) -> None:
    """Starts an operator that sees the state before a request, while a Trial runs."""
    go_on = asyncio.Event()
    async with attended(grounds, folder, succeeds_once_allowed(go_on, devices=1)) as case:
        views: list[Snapshot] = []

        async def look(exchange: Exchange) -> None:
            if moment.meets(exchange.request) and not views:
                views.append(await snapshot(case.scene))

        case.proxy.lookers.append(look)
        await case.running()
        await assert_usual_end(case, views[0], old, go_on, trials=1)


async def restarted_before_pods(grounds: Grounds, folder: Path) -> None:
    """Checks an operator for which only the job itself says that it exists."""
    go_on = asyncio.Event()
    async with attended(grounds, folder, measured) as case:
        script = grounds.company.scripts.pop(case.scene.namespace)
        view = await snapshot(case.scene)
        await case.scene.ask(devices=ONE)
        await grounds.witness.until(lambda: row_has_uid(case), "the row to name its job's UID")
        await assert_usual_end(case, view, JOBS_LISTED_OLD, go_on, trials=1, script=script)


def row_has_uid(case: Attended) -> bool:
    rows = (case.scene.benchmark() or {}).get("status", {}).get("trials", ())
    return any("jobUID" in row for row in rows)


async def restarted_in_the_next(grounds: Grounds, folder: Path, old: Where) -> None:
    """Starts an operator that sees the state of the first Trial, while the second runs."""
    first, second = asyncio.Event(), asyncio.Event()
    script = succeeds_once_allowed(first, devices=1), succeeds_once_allowed(second, devices=2)
    async with attended(grounds, folder, lambda run, index: script[run.devices - 1](run, index)) as case:
        await case.scene.ask(devices=TWO)
        await case.scene.until_row(0, "Running")
        view = await snapshot(case.scene)
        first.set()
        await case.scene.until_row(1, "Running")
        await assert_usual_end(case, view, old, second, trials=2)


def succeeds_once_allowed(go_on: asyncio.Event, devices: int) -> Script:
    """A pod that succeeds once the test allows it."""

    def script(run: RunConfig, index: int) -> End | None:
        assert run.devices == devices
        return measured(run, index) if go_on.is_set() else None

    return script


async def assert_usual_end(
    case: Attended, view: Snapshot, old: Where, go_on: asyncio.Event, trials: int, script: Script | None = None
) -> None:
    case.cast.killed.set()
    armed = show(view, case.proxy, old)
    case.restart()
    await armed.hit.wait()
    while armed.live:
        await asyncio.sleep(0.1)
    go_on.set()
    if script is not None:
        case.scene.play(script)
    answer = await case.scene.until_holds("CleanedUp")
    rows = answer["status"]["trials"]
    assert [(row["phase"], row["attempt"], row["failures"]) for row in rows] == [("Succeeded", 1, 0)] * trials
    assert len(case.scene.grounds.witness.ever(JOBS, case.scene.namespace)) == trials
