"""Checks when an idle operator stops sending requests, with finished and running Benchmarks.

The silence lasts two minutes: it begins early among the tests, and its end is awaited late.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import Place
from testkit.operators.operator_process import OperatorProcess
from testkit.server.accounts import account
from testkit.server.audit_log import Audited
from testkit.server.crowd import Crowd
from testkit.server.namespaces import made_namespace
from testkit.server.questions import question

FINISHED, RUNNING = 200, 20
SILENCE_SECONDS = 120
SETTLING_SECONDS = 90
ONE_DEVICE = question()["spec"]["devices"] | {"counts": [1]}


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


@contextmanager
def silent(audited: Audited, folder: Path) -> Iterator[Silence]:
    """While inside, the operator runs and has nothing to do."""
    plane = audited.plane
    namespace = made_namespace(plane)
    crowd = Crowd(plane, namespace)
    kubeconfig, log = account(plane, namespace), folder / "log"
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
        quiet = until(lambda: last_write_is_old(audited, namespace), SETTLING_SECONDS, "the last write")
        yield Silence(place, audited, quiet, time.monotonic() + SILENCE_SECONDS)


def phases(crowd: Crowd) -> list[str]:
    """Of the rows of those that run."""
    statuses = crowd.statuses()
    return [row["phase"] for name, one in statuses.items() if "busy" in name for row in one.get("trials", ())]


def last_write_is_old(audited: Audited, namespace: str) -> datetime | None:
    """Now, if the last write is some seconds ago."""
    now = datetime.now(UTC)
    last = max(one.at for one in audited.asked(namespace) if one.writes)
    return now if (now - last).total_seconds() > 3 else None
