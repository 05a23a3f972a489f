"""Checks when an idle operator stops sending requests, with finished and running Benchmarks.

The silence lasts two minutes, so it starts early in the session, and a late test waits for its end.
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
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess
from testkit.server.accounts import account
from testkit.server.audit_log import AuditedControlPlane
from testkit.server.crowd import Crowd
from testkit.server.examples import example_benchmark
from testkit.server.namespaces import create_namespace

FINISHED, RUNNING = 200, 20
SILENCE_SECONDS = 120
SETTLING_SECONDS = 90
ONE_DEVICE = example_benchmark()["spec"]["devices"] | {"counts": [1]}


@dataclass(frozen=True)
class IdleOperator:
    """An operator that has had nothing to do since a point in time."""

    place: OperatorNamespace
    audited: AuditedControlPlane
    since: datetime
    end: float
    """The end of the silence, in monotonic seconds."""


def answered(run: RunConfig, index: int) -> End | None:
    """Ends the first Benchmark's pods; the others run forever."""
    return measured(run, index) if run.attempt.startswith("done-0-") else None


@contextmanager
def idle_operator(audited: AuditedControlPlane, folder: Path) -> Iterator[IdleOperator]:
    """Runs an operator that has nothing to do."""
    plane = audited.plane
    namespace = create_namespace(plane)
    crowd = Crowd(plane, namespace)
    kubeconfig, log = account(plane, namespace), folder / "log"
    with Player(plane.kubeconfig, namespace, answered):
        with OperatorProcess(kubeconfig, namespace, log) as operator:
            crowd.create(["done-0"], devices=ONE_DEVICE)
            done = OperatorNamespace(plane, namespace, operator).wait_for("CleanedUp", "done-0")
        crowd.create_finished([f"done-{number}" for number in range(1, FINISHED)], done, devices=ONE_DEVICE)
        crowd.create([f"busy-{number}" for number in range(RUNNING)], devices=ONE_DEVICE)
        with OperatorProcess(kubeconfig, namespace, log):
            until(lambda: phases(crowd).count("Running") == RUNNING, SETTLING_SECONDS, "all to run")
    with OperatorProcess(kubeconfig, namespace, log) as operator:
        place = OperatorNamespace(plane, namespace, operator)
        # The last Decision is written by then: a pass follows a change within a second.
        quiet = until(lambda: last_write_is_old(audited, namespace), SETTLING_SECONDS, "the last write")
        yield IdleOperator(place, audited, quiet, time.monotonic() + SILENCE_SECONDS)


def phases(crowd: Crowd) -> list[str]:
    """The phases of the running Benchmarks' rows."""
    statuses = crowd.statuses()
    return [row["phase"] for name, one in statuses.items() if "busy" in name for row in one.get("trials", ())]


def last_write_is_old(audited: AuditedControlPlane, namespace: str) -> datetime | None:
    """The current time if the last write is some seconds ago, else None."""
    now = datetime.now(UTC)
    last = max(one.at for one in audited.requests_of(namespace) if one.writes)
    return now if (now - last).total_seconds() > 3 else None
