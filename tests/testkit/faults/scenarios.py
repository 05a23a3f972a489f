"""Defines the scenarios in which things go wrong: the spec, how pods end, and what a user does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Script, measured
from testkit.faults.multi_namespace import Scene
from testkit.server.direct import BENCHMARKS, Document
from testkit.server.questions import question

ONE = question()["spec"]["devices"] | {"counts": [1]}
TWO = question()["spec"]["devices"] | {"counts": [1, 2]}
THREE = question()["spec"]["devices"] | {"counts": [1, 2, 4]}


@dataclass(frozen=True)
class Scenario:
    """A spec, a pod script, and a user's actions; it has ended when `story` returns."""

    name: str
    story: Callable[[Scene], Awaitable[None]]
    script: Script | None = measured
    """None means that no job gets pods until the story starts a script."""
    spec: dict[str, Any] = field(default_factory=dict)


async def answered(scene: Scene) -> None:
    """Waits for the end."""
    await scene.until_holds("CleanedUp")
    await scene.until_empty()


async def suspended_and_resumed(scene: Scene) -> None:
    await scene.until_row(0, "Running")
    await scene.change(suspend=True)
    await scene.until_holds("Suspended")
    await scene.until_empty()
    await scene.change(suspend=False)
    await answered(scene)


async def cancelled(scene: Scene) -> None:
    await scene.until_row(1, "Running")
    await scene.change(cancel=True)
    await answered(scene)


async def deleted(scene: Scene) -> None:
    """Deletes the Benchmark; its jobs must go, and the operator must still handle another Benchmark."""
    await scene.until_row(0, "Running")
    await scene.delete()
    await scene.until_empty()
    await scene.ask("next", suspend=True)
    await scene.until_holds("Suspended", "next")


async def without_pods_for_a_while(scene: Scene) -> None:
    """Gives the job a warning event before its pods exist; another Benchmark is deleted by its TTL."""
    (job,) = await scene.grounds.witness.until(lambda: scene.jobs() or None, "a job")
    await scene.grounds.api.send("POST", f"api/v1/namespaces/{scene.namespace}/events", warning_event(job))
    await scene.grounds.witness.until(lambda: reports_warning(scene), "the row to report the warning event")
    scene.play(measured)
    await scene.ask("next", cancel=True, ttlSecondsAfterFinished=0)
    await answered(scene)
    await scene.grounds.witness.until(lambda: came_and_went(scene, "next"), "the other Benchmark to be deleted")


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


def reports_warning(scene: Scene) -> bool:
    rows = (scene.benchmark() or {}).get("status", {}).get("trials", ())
    return any("pods cannot be created" in row.get("message", "") for row in rows)


def came_and_went(scene: Scene, name: str) -> bool:
    ever = {one for one, _ in scene.grounds.witness.ever(BENCHMARKS, scene.namespace)}
    return name in ever and scene.benchmark(name) is None


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
