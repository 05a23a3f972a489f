"""Is the operator silent when nothing happens, and how soon has it looked at everything when it starts?

The silence of two minutes begins before the other test of this page, and its end is awaited after it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.accounts import account
from api.audited import Audited
from api.crowd import Crowd
from api.namespaces import made_namespace
from api.operating import OperatorProcess, condition, read
from api.played import End, Player, measured
from api.questions import question
from api.seen import Place
from cluster.harness.control_plane import ControlPlane
from cluster.harness.polling import until
from sdbench_trainer.run import RunConfig

pytest_plugins = ["api.places"]

FINISHED, RUNNING = 200, 20
SILENCE_SECONDS = 120
SETTLING_SECONDS = 90
MANY = 1_000
LOOK_SECONDS = 30
ONE_DEVICE = question()["spec"]["devices"] | {"counts": [1]}


@pytest.fixture(scope="session")
def plane(audited_plane: Audited) -> ControlPlane:
    """The control plane that keeps an audit log."""
    return audited_plane.plane


@dataclass(frozen=True)
class Silence:
    """An operator that has nothing to do since a moment."""

    place: Place
    audited: Audited
    since: datetime
    end: float
    """Monotonic."""


def answered(run: RunConfig, index: int) -> End | None:
    """The first is answered, the others run for ever."""
    return measured(run, index) if run.attempt.startswith("done-0-") else None


@pytest.fixture(scope="module")
def silence(audited_plane: Audited, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence]:
    """With many finished and some running Benchmarks."""
    plane = audited_plane.plane
    namespace = made_namespace(plane)
    crowd = Crowd(plane, namespace)
    kubeconfig, log = account(plane, namespace), tmp_path_factory.mktemp("idle") / "log"
    with Player(plane.kubeconfig, namespace, answered):
        with OperatorProcess(kubeconfig, namespace, log) as operator:
            crowd.ask(["done-0"], devices=ONE_DEVICE)
            done = Place(plane, namespace, operator).wait_for("CleanedUp", "done-0")
        crowd.finish([f"done-{number}" for number in range(1, FINISHED)], done, devices=ONE_DEVICE)
        crowd.ask([f"busy-{number}" for number in range(RUNNING)], devices=ONE_DEVICE)
        with OperatorProcess(kubeconfig, namespace, log):
            until(lambda: phases(crowd).count("Running") == RUNNING, SETTLING_SECONDS, "all to run")
    with OperatorProcess(kubeconfig, namespace, log) as operator:
        place = Place(plane, namespace, operator)
        # What was decided last is written by now: the look after a change comes after a second.
        quiet = until(lambda: last_write_is_old(audited_plane, namespace), SETTLING_SECONDS, "the last write")
        yield Silence(place, audited_plane, quiet, time.monotonic() + SILENCE_SECONDS)


def phases(crowd: Crowd) -> list[str]:
    """Of the rows of those that run."""
    statuses = crowd.statuses()
    return [row["phase"] for name, one in statuses.items() if "busy" in name for row in one.get("trials", ())]


def last_write_is_old(audited: Audited, namespace: str) -> datetime | None:
    """Now, if the last write is some seconds ago."""
    now = datetime.now(UTC)
    last = max(one.at for one in audited.asked(namespace) if one.writes)
    return now if (now - last).total_seconds() > 3 else None


def test_a_thousand_benchmarks_have_been_looked_at_soon_after_a_start(
    silence: Silence, plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path
) -> None:
    crowd, waiting = Crowd(plane, namespace), MANY // 10
    done = silence.place.benchmark("done-0")
    crowd.finish([f"done-{number}" for number in range(MANY - waiting)], done, devices=ONE_DEVICE)
    crowd.ask([f"waits-{number}" for number in range(waiting)], devices=ONE_DEVICE, suspend=True)
    started = time.monotonic()
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        until(lambda: shown(operator) == MANY, LOOK_SECONDS, "all in the metrics")
        until(lambda: looked_at(crowd) == waiting, LOOK_SECONDS, "all that may still change to be looked at")
        taken = time.monotonic() - started
        assert operator.answer("/healthz")[0] == 200
    assert taken <= LOOK_SECONDS, f"{taken:.0f} s"


def shown(operator: OperatorProcess) -> int:
    """How many Benchmarks the metrics name."""
    lines = operator.answer("/metrics")[1].splitlines()
    return sum(line.startswith("sdbench_benchmark_spent_device_seconds_total{") for line in lines)


def looked_at(crowd: Crowd) -> int:
    """How many of those that wait say so."""
    statuses = [one for name, one in crowd.statuses().items() if name.startswith("waits")]
    return sum(condition({"status": one}, "Suspended").get("status") == "True" for one in statuses)


def test_an_operator_with_nothing_to_do_writes_nothing(silence: Silence) -> None:
    until(lambda: time.monotonic() >= silence.end, SILENCE_SECONDS + 1, "two minutes to pass")
    asked = [one for one in silence.audited.asked(silence.place.namespace) if one.at >= silence.since]
    assert [one for one in asked if one.writes] == []
    # It was there, it looked, and the log tells it.
    assert {one.resource for one in asked if one.verb == "list"} >= {"stablediffusionbenchmarks", "pytorchjobs", "pods"}
    assert events_since(silence) == []
    assert silence.place.operator.answer("/healthz")[0] == 200


def events_since(silence: Silence) -> list[dict[str, Any]]:
    """Whoever wrote them."""
    events = read(silence.place.plane, silence.place.namespace, "events")["items"]
    begin = silence.since.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [one for one in events if one["metadata"]["creationTimestamp"] > begin]
