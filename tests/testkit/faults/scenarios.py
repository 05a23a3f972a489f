"""Defines the scenarios in which things go wrong: the spec, how pods end, and what a user does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Script, measured
from testkit.faults.multi_namespace import Sandbox
from testkit.server.direct import BENCHMARKS, Document
from testkit.server.examples import example_benchmark

ONE = example_benchmark()["spec"]["devices"] | {"counts": [1]}
TWO = example_benchmark()["spec"]["devices"] | {"counts": [1, 2]}
THREE = example_benchmark()["spec"]["devices"] | {"counts": [1, 2, 4]}


@dataclass(frozen=True)
class Scenario:
    """A spec, a pod script, and a user's actions; it has ended when `story` returns."""

    name: str
    story: Callable[[Sandbox], Awaitable[None]]
    script: Script | None = measured
    """None means that no job gets pods until the story starts a script."""
    spec: dict[str, Any] = field(default_factory=dict)


async def answered(sandbox: Sandbox) -> None:
    """Waits for the end."""
    await sandbox.until_holds("CleanedUp")
    await sandbox.until_empty()


async def suspended_and_resumed(sandbox: Sandbox) -> None:
    await sandbox.until_row(0, "Running")
    await sandbox.change(suspend=True)
    await sandbox.until_holds("Suspended")
    await sandbox.until_empty()
    await sandbox.change(suspend=False)
    await answered(sandbox)


async def cancelled(sandbox: Sandbox) -> None:
    await sandbox.until_row(1, "Running")
    await sandbox.change(cancel=True)
    await answered(sandbox)


async def deleted(sandbox: Sandbox) -> None:
    """Deletes the Benchmark; its jobs must go, and the operator must still handle another Benchmark."""
    await sandbox.until_row(0, "Running")
    await sandbox.delete()
    await sandbox.until_empty()
    await sandbox.create("next", suspend=True)
    await sandbox.until_holds("Suspended", "next")


async def without_pods_for_a_while(sandbox: Sandbox) -> None:
    """Gives the job a warning event before its pods exist; another Benchmark is deleted by its TTL."""
    (job,) = await sandbox.shared_cluster.objects.until(lambda: sandbox.jobs() or None, "a job")
    await sandbox.shared_cluster.api.send("POST", f"api/v1/namespaces/{sandbox.namespace}/events", warning_event(job))
    await sandbox.shared_cluster.objects.until(lambda: reports_warning(sandbox), "the row to report the warning event")
    sandbox.play(measured)
    await sandbox.create("next", cancel=True, ttlSecondsAfterFinished=0)
    await answered(sandbox)
    await sandbox.shared_cluster.objects.until(
        lambda: was_deleted(sandbox, "next"), "the other Benchmark to be deleted"
    )


def warning_event(job: Document) -> Document:
    """The training-operator's Event if pods cannot be created for a temporary reason."""
    metadata = job["metadata"]
    about = {key: metadata[key] for key in ("name", "namespace", "uid")}
    return {
        "metadata": {"name": f"{metadata['name']}.warning", "namespace": metadata["namespace"]},
        "involvedObject": {"apiVersion": job["apiVersion"], "kind": job["kind"], **about},
        "type": "Warning",
        "reason": "FailedCreatePod",
        "message": "Error creating: Internal error occurred: a webhook does not answer",
    }


def reports_warning(sandbox: Sandbox) -> bool:
    rows = (sandbox.benchmark() or {}).get("status", {}).get("trials", ())
    return any("pods cannot be created" in row.get("message", "") for row in rows)


def was_deleted(sandbox: Sandbox, name: str) -> bool:
    ever = {one for one, _ in sandbox.shared_cluster.objects.ever(BENCHMARKS, sandbox.namespace)}
    return name in ever and sandbox.benchmark(name) is None


def attempt_of(run: RunConfig) -> int:
    """The number of the Attempt, with which its name ends."""
    return int(run.attempt.rpartition("-")[2])


def first_loses_its_peer(run: RunConfig, index: int) -> End | None:
    return End(69, "a peer was lost", "Error") if attempt_of(run) == 1 else measured(run, index)


def first_runs_on(run: RunConfig, index: int) -> End | None:
    return None if attempt_of(run) == 1 else measured(run, index)


def two_devices_run_on(run: RunConfig, index: int) -> End | None:
    return None if run.devices == 2 else measured(run, index)


def runs_on(run: RunConfig, index: int) -> End | None:
    return None


GATE = {"minImagesPerSecond": "10", "minScalingEfficiency": "0.95"}

ONE_TRIAL = Scenario("one trial", answered, spec={"devices": ONE})
SWEEP = Scenario("sweep of 3 × 2 repeats", answered, spec={"devices": THREE, "repeats": {"min": 2}})
RETRY = Scenario("a failing attempt retried", answered, first_loses_its_peer, {"devices": ONE})
SUSPEND = Scenario("suspend/resume", suspended_and_resumed, first_runs_on, {"devices": ONE})
CANCEL = Scenario("cancel", cancelled, two_devices_run_on)
DELETE = Scenario("delete", deleted, runs_on, {"devices": ONE})
GATED = Scenario("gate", answered, spec={"gate": GATE})
EVERY_CALL = Scenario("every call", without_pods_for_a_while, script=None, spec={"devices": ONE})
"""The scenario in which the operator sends every kind of request."""

QUICK = (ONE_TRIAL, RETRY, CANCEL, DELETE)
"""The scenarios that CI sweeps; `make test-long` sweeps all."""

ALL = (ONE_TRIAL, SWEEP, RETRY, SUSPEND, CANCEL, DELETE, GATED)
