"""Tests a Benchmark that is deleted and created again at once, at the worst moment, or with no operator.

The devices of the old one must be free before the new one takes any, and nothing of the old one may come back.
"""

from pathlib import Path

from aiohttp import web

from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Script, measured
from testkit.faults.multi_namespace import NAME, SharedCluster
from testkit.faults.scenarios import ONE
from testkit.operators.proxy import Exchange, where
from testkit.operators.stepped_operator import SteppedOperator, failures_of, stepped_operator
from testkit.server.direct import BENCHMARKS, JOBS, Document

pytest_plugins = ["testkit.server.fixtures"]


async def test_a_name_can_be_reused_at_once_and_a_deletion_needs_no_operator(
    shared_cluster: SharedCluster, tmp_path: Path
) -> None:
    cases = {
        "again, deleted in the background": lambda: asked_again(shared_cluster, tmp_path, "Background"),
        "again, deleted in the foreground": lambda: asked_again(shared_cluster, tmp_path, "Foreground"),
        "again while the operator was away": lambda: asked_again_meanwhile(shared_cluster, tmp_path),
        "deleted between the status and the job": lambda: deleted_before_its_job(shared_cluster, tmp_path),
        "namespace deleted without an operator": lambda: namespace_deleted(shared_cluster, tmp_path),
    }
    assert await failures_of(cases) == {}


def only_the_first_runs_on() -> Script:
    """Lets the first Attempt run on, even when its Benchmark is created again."""
    first: list[str] = []

    def script(run: RunConfig, index: int) -> End | None:
        first.append(run.attempt)
        return None if run.attempt == first[0] else measured(run, index)

    return script


async def asked_again(shared_cluster: SharedCluster, folder: Path, policy: str) -> None:
    async with stepped_operator(shared_cluster, folder, only_the_first_runs_on()) as case:
        old, beside = await old_one(case), watched_for_other_pods(case)
        await case.sandbox.delete(policy)
        await gone(case, old)
        await case.sandbox.create(devices=ONE)
        await answered_by_the_new_one(case, old, beside)


async def asked_again_meanwhile(shared_cluster: SharedCluster, folder: Path) -> None:
    async with stepped_operator(shared_cluster, folder, only_the_first_runs_on()) as case:
        old, beside = await old_one(case), watched_for_other_pods(case)
        case.operator.kill()
        await case.sandbox.delete()
        await gone(case, old)
        await case.sandbox.create(devices=ONE)
        case.group.start(case.proxy)
        await answered_by_the_new_one(case, old, beside)


async def deleted_before_its_job(shared_cluster: SharedCluster, folder: Path) -> None:
    """Checks that a job created for a deleted Benchmark is collected, and no other follows."""
    async with stepped_operator(shared_cluster, folder, measured) as case:

        async def deleted(exchange: Exchange) -> web.StreamResponse:
            await case.sandbox.delete()
            return await exchange.forward()

        armed = case.proxy.arm(where("create", "pytorchjobs"), deleted, times=1)
        await case.sandbox.create(devices=ONE)
        await armed.hit.wait()
        await shared_cluster.objects.until(
            lambda: shared_cluster.objects.ever(JOBS, case.sandbox.namespace) or None, "the job"
        )
        await case.sandbox.until_empty()
        await case.sandbox.create("next", suspend=True)
        await case.sandbox.until_holds("Suspended", "next")
        assert len(shared_cluster.objects.ever(JOBS, case.sandbox.namespace)) == 1


async def namespace_deleted(shared_cluster: SharedCluster, folder: Path) -> None:
    """Checks that no finalizer of ours blocks the deletion."""
    async with stepped_operator(shared_cluster, folder, measured) as case:
        shared_cluster.kubelet.scripts[case.sandbox.namespace] = lambda run, index: None
        await case.running()
        case.operator.kill()
        case.group.killed.set()
        await shared_cluster.api.send("DELETE", f"api/v1/namespaces/{case.sandbox.namespace}")
        await case.sandbox.until_empty()
        await shared_cluster.objects.until(lambda: case.sandbox.benchmark() is None, "the Benchmark to go")


async def old_one(case: SteppedOperator) -> str:
    """The UID of a Benchmark whose Trial runs."""
    await case.running()
    benchmark = case.sandbox.benchmark()
    assert benchmark is not None
    return str(benchmark["metadata"]["uid"])


async def gone(case: SteppedOperator, uid: str) -> None:
    existing = case.sandbox.shared_cluster.objects.objects[BENCHMARKS[1]]
    await case.sandbox.shared_cluster.objects.until(lambda: uid not in existing, "the old Benchmark to go")


def watched_for_other_pods(case: SteppedOperator) -> list[str]:
    """Collects, from now on, the names of the pods that are active when a job is created."""
    beside: list[str] = []
    known = {job["metadata"]["uid"] for job in case.sandbox.jobs()}

    def noticed(plural: str, one: Document) -> None:
        new = plural == JOBS[1] and one["metadata"]["uid"] not in known
        if new and one["metadata"]["namespace"] == case.sandbox.namespace:
            known.add(one["metadata"]["uid"])
            beside.extend(pod["metadata"]["name"] for pod in case.sandbox.active_pods())

    case.sandbox.shared_cluster.objects.listeners.append(noticed)
    return beside


async def answered_by_the_new_one(case: SteppedOperator, old: str, beside: list[str]) -> None:
    answer = await case.sandbox.until_holds("CleanedUp")
    await case.sandbox.until_empty()
    new = answer["metadata"]["uid"]
    names = [name for name, _ in case.sandbox.shared_cluster.objects.ever(JOBS, case.sandbox.namespace)]
    assert sorted(names) == sorted([f"{NAME}-{old[:5]}-0-1", f"{NAME}-{new[:5]}-0-1"])
    assert [row["attempt"] for row in answer["status"]["trials"]] == [1]
    assert beside == [], "the new job was made beside these pods of the old one"
