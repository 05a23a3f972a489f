"""Tests that the operator catches up whatever its watches do: fall silent, break, forget or repeat.

The list of all Benchmarks, every RESYNC_SECONDS, finds what no watch has reported. All cases run at the same time.
"""

import time
from pathlib import Path

from sdbench.controller.operator import RESYNC_SECONDS
from testkit.faults import fault_kinds
from testkit.faults.cases import OperatorGroup, run_case
from testkit.faults.multi_namespace import SharedCluster
from testkit.faults.scenarios import Scenario, answered, first_runs_on, runs_on
from testkit.operators.proxy import Change, where
from testkit.operators.stepped_operator import failures_of, stepped_operator
from testkit.server.direct import JOBS, place

pytest_plugins = ["testkit.server.fixtures"]

AFTER_RESYNC = RESYNC_SECONDS + 60
"""The longest that anything may stay unseen."""

SLACK = 3
"""Seconds in which events that were under way still arrive."""

EVERYTHING, CHILDREN = where("watch"), where("watch", "pytorchjobs pods")
BENCHMARKS_ONLY = where("watch", "stablediffusionbenchmarks")
SIDE_BY_SIDE = Scenario("two at once", answered, spec={"parallelism": 2})


async def test_whatever_happens_to_a_watch_the_operator_sees_every_change_in_the_end(
    shared_cluster: SharedCluster, tmp_path: Path
) -> None:
    cases = {
        "frozen": lambda: cancelled_unheard(shared_cluster, tmp_path),
        "cut, and not to be had for a while": lambda: cancelled_while_cut(shared_cluster, tmp_path),
        "410 while a job was deleted": lambda: job_deleted_unheard(shared_cluster, tmp_path),
        "410 while the Benchmark was deleted": lambda: benchmark_deleted_unheard(shared_cluster, tmp_path),
        "every event twice": lambda: same_end(shared_cluster, tmp_path, fault_kinds.doubled),
        "objects in another order": lambda: same_end(shared_cluster, tmp_path, fault_kinds.shuffled),
    }
    assert await failures_of(cases) == {}


async def cancelled_unheard(shared_cluster: SharedCluster, folder: Path) -> None:
    """A watch whose connection stays open but delivers nothing; the metrics show that, and that lists go on."""
    async with stepped_operator(shared_cluster, folder, runs_on) as case:
        await case.running()
        armed = case.proxy.arm_watches(EVERYTHING, fault_kinds.frozen)
        since = time.time()
        await case.sandbox.change(cancel=True)
        await case.sandbox.until_holds("CleanedUp", seconds=AFTER_RESYNC)
        await case.sandbox.until_empty()
        assert armed.hits > 0
        assert await case.last_event() < since + SLACK
        await case.until_listed(since, AFTER_RESYNC)


async def cancelled_while_cut(shared_cluster: SharedCluster, folder: Path) -> None:
    async with stepped_operator(shared_cluster, folder, runs_on) as case:
        await case.running()
        away = case.proxy.arm(EVERYTHING, fault_kinds.refused(503), times=6)
        assert await case.proxy.end_watches(EVERYTHING) == 3
        await away.hit.wait()
        await case.sandbox.change(cancel=True)
        await case.sandbox.until_holds("CleanedUp", seconds=AFTER_RESYNC)
        await case.sandbox.until_empty()


async def job_deleted_unheard(shared_cluster: SharedCluster, folder: Path) -> None:
    """Checks that a job deleted unnoticed ends its Attempt and is not created again."""
    async with stepped_operator(shared_cluster, folder, first_runs_on) as case:
        await case.running()
        forgotten = case.proxy.arm_watches(CHILDREN, fault_kinds.frozen)
        (job,) = case.sandbox.jobs()
        await shared_cluster.api.send("DELETE", place(JOBS, case.sandbox.namespace, job["metadata"]["name"]))
        await case.sandbox.until_empty()
        assert await case.proxy.end_watches(CHILDREN, last=fault_kinds.GONE) == 2
        forgotten.disarm()
        await case.sandbox.until_holds("CleanedUp", seconds=AFTER_RESYNC)
        (row,) = (case.sandbox.benchmark() or {})["status"]["trials"]
        assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, 1)
        assert len(shared_cluster.objects.ever(JOBS, case.sandbox.namespace)) == 2


async def benchmark_deleted_unheard(shared_cluster: SharedCluster, folder: Path) -> None:
    """Checks that a Benchmark deleted unnoticed gets no further writes, and its series end."""
    async with stepped_operator(shared_cluster, folder, runs_on) as case:
        await case.running()
        forgotten = case.proxy.arm_watches(BENCHMARKS_ONLY, fault_kinds.frozen)
        await case.sandbox.delete()
        await case.sandbox.until_empty()
        before, taken = len(case.proxy.writes()), len(case.proxy.accepted)
        assert await case.proxy.end_watches(BENCHMARKS_ONLY, last=fault_kinds.GONE) == 1
        forgotten.disarm()
        await case.until_metrics(lambda text: 'benchmark="tiny"' not in text, AFTER_RESYNC)
        # A pass that had begun may still try to store its status once, which the API server refuses; Events are posted.
        late = [str(request) for request in case.proxy.writes()[before:] if request.resource != "events"]
        assert late in ([], ["update stablediffusionbenchmarks/status"])
        assert [str(request) for request in case.proxy.accepted[taken:] if request.resource != "events"] == []
        assert len(shared_cluster.objects.ever(JOBS, case.sandbox.namespace)) == 1


async def same_end(shared_cluster: SharedCluster, folder: Path, change: Change) -> None:
    def disturbance(group: OperatorGroup) -> None:
        group.proxies[0].arm_watches(EVERYTHING, change)

    usual = await run_case(shared_cluster, SIDE_BY_SIDE, folder)
    found = await run_case(shared_cluster, SIDE_BY_SIDE, folder, disturbance)
    assert found.faults > 0
    assert usual.end.difference(found.end) == ""
