"""Tests a Benchmark that is deleted and created again at once, at the worst moment, or with no operator.

The devices of the old one must be free before the new one takes any, and nothing of the old one may come back.
"""

from pathlib import Path

from aiohttp import web

from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Script, measured
from testkit.faults.multi_namespace import NAME, Grounds
from testkit.faults.scenarios import ONE
from testkit.operators.proxy import Exchange, where
from testkit.operators.stepped_operator import Attended, attended, wrong_in
from testkit.server.direct import BENCHMARKS, JOBS, Document

pytest_plugins = ["testkit.server.places"]


async def test_a_name_can_be_reused_at_once_and_a_deletion_needs_no_operator(grounds: Grounds, tmp_path: Path) -> None:
    cases = {
        "again, deleted in the background": lambda: created_again(grounds, tmp_path, "Background"),
        "again, deleted in the foreground": lambda: created_again(grounds, tmp_path, "Foreground"),
        "again while the operator was away": lambda: created_again_meanwhile(grounds, tmp_path),
        "deleted between the status and the job": lambda: deleted_before_its_job(grounds, tmp_path),
        "namespace deleted without an operator": lambda: namespace_deleted(grounds, tmp_path),
    }
    assert await wrong_in(cases) == {}


def only_the_first_runs_on() -> Script:
    """Lets the first Attempt run on, even when its Benchmark is created again."""
    first: list[str] = []

    def script(run: RunConfig, index: int) -> End | None:
        first.append(run.attempt)
        return None if run.attempt == first[0] else measured(run, index)

    return script


async def created_again(grounds: Grounds, folder: Path, policy: str) -> None:
    async with attended(grounds, folder, only_the_first_runs_on()) as case:
        old, beside = await uid_once_running(case), active_pods_at_creation(case)
        await case.scene.delete(policy)
        await until_gone(case, old)
        await case.scene.ask(devices=ONE)
        await answered_by_the_new_one(case, old, beside)


async def created_again_meanwhile(grounds: Grounds, folder: Path) -> None:
    async with attended(grounds, folder, only_the_first_runs_on()) as case:
        old, beside = await uid_once_running(case), active_pods_at_creation(case)
        case.operator.kill()
        await case.scene.delete()
        await until_gone(case, old)
        await case.scene.ask(devices=ONE)
        case.cast.start(case.proxy)
        await answered_by_the_new_one(case, old, beside)


async def deleted_before_its_job(grounds: Grounds, folder: Path) -> None:
    """Checks that a job created for a deleted Benchmark is collected, and no other follows."""
    async with attended(grounds, folder, measured) as case:

        async def deleted(exchange: Exchange) -> web.StreamResponse:
            await case.scene.delete()
            return await exchange.passed_on()

        armed = case.proxy.arm(where("create", "pytorchjobs"), deleted, times=1)
        await case.scene.ask(devices=ONE)
        await armed.hit.wait()
        await grounds.witness.until(lambda: grounds.witness.ever(JOBS, case.scene.namespace) or None, "the job")
        await case.scene.until_empty()
        await case.scene.ask("next", suspend=True)
        await case.scene.until_holds("Suspended", "next")
        assert len(grounds.witness.ever(JOBS, case.scene.namespace)) == 1


async def namespace_deleted(grounds: Grounds, folder: Path) -> None:
    """Checks that no finalizer of ours blocks the deletion."""
    async with attended(grounds, folder, measured) as case:
        grounds.company.scripts[case.scene.namespace] = lambda run, index: None
        await case.running()
        case.operator.kill()
        case.cast.killed.set()
        await grounds.api.send("DELETE", f"api/v1/namespaces/{case.scene.namespace}")
        await case.scene.until_empty()
        await grounds.witness.until(lambda: case.scene.benchmark() is None, "the Benchmark to go")


async def uid_once_running(case: Attended) -> str:
    """The UID of a Benchmark whose Trial runs."""
    await case.running()
    benchmark = case.scene.benchmark()
    assert benchmark is not None
    return str(benchmark["metadata"]["uid"])


async def until_gone(case: Attended, uid: str) -> None:
    existing = case.scene.grounds.witness.objects[BENCHMARKS[1]]
    await case.scene.grounds.witness.until(lambda: uid not in existing, "the old Benchmark to go")


def active_pods_at_creation(case: Attended) -> list[str]:
    """Collects, from now on, the names of the pods that are active when a job is created."""
    beside: list[str] = []
    known = {job["metadata"]["uid"] for job in case.scene.jobs()}

    def record(plural: str, one: Document) -> None:
        new = plural == JOBS[1] and one["metadata"]["uid"] not in known
        if new and one["metadata"]["namespace"] == case.scene.namespace:
            known.add(one["metadata"]["uid"])
            beside.extend(pod["metadata"]["name"] for pod in case.scene.active_pods())

    case.scene.grounds.witness.listeners.append(record)
    return beside


async def answered_by_the_new_one(case: Attended, old: str, beside: list[str]) -> None:
    answer = await case.scene.until_holds("CleanedUp")
    await case.scene.until_empty()
    new = answer["metadata"]["uid"]
    names = [name for name, _ in case.scene.grounds.witness.ever(JOBS, case.scene.namespace)]
    assert sorted(names) == sorted([f"{NAME}-{old[:5]}-0-1", f"{NAME}-{new[:5]}-0-1"])
    assert [row["attempt"] for row in answer["status"]["trials"]] == [1]
    assert beside == [], "the new job was made beside these pods of the old one"
