"""What are the stories through which an operator is killed? What is asked, how pods end, and what a person does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from api.grounds import Scene
from api.played import End, Script, measured
from api.questions import question
from sdbench_trainer.run import RunConfig

ONE = question()["spec"]["devices"] | {"counts": [1]}
TWO = question()["spec"]["devices"] | {"counts": [1, 2]}
THREE = question()["spec"]["devices"] | {"counts": [1, 2, 4]}


@dataclass(frozen=True)
class Scenario:
    """A story: it has ended when `story` returns, with everything that a person would wait for."""

    name: str
    story: Callable[[Scene], Awaitable[None]]
    script: Script = measured
    spec: dict[str, Any] = field(default_factory=dict)


async def answered(scene: Scene) -> None:
    """Nothing is done but waiting."""
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
    """What is left must go without the operator, and the operator must go on: it looks at another question."""
    await scene.until_row(0, "Running")
    await scene.delete()
    await scene.until_empty()
    await scene.ask("next", suspend=True)
    await scene.until_holds("Suspended", "next")


def attempt_of(run: RunConfig) -> int:
    """The number of the Attempt, as its name ends."""
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

QUICK = (ONE_TRIAL, RETRY, CANCEL, DELETE)
"""What CI sweeps; `make test-long` sweeps all."""

ALL = (ONE_TRIAL, SWEEP, RETRY, SUSPEND, CANCEL, DELETE, GATED)
