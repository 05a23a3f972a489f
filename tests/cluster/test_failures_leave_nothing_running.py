"""Tests that every failure names its cause and pod, leaves no pod, and that the next Trial is measured.

Each situation has its own namespace and Benchmark. Several run at the same time, and hold until the test breaks them.
The trainer image misbehaves as the Benchmark's name says (misbehaviour.py), in the first Attempt of the first Trial
only. The test breaks the run from outside wherever that is possible.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.support.breaking import delete_by_force, kill_a_rank
from cluster.support.broken_run import Breakage, BrokenRun, RunBreaker, created_too_early, few_devices
from cluster.support.user import pods_holding_devices, read
from harness.cluster import Cluster

GRACE_SECONDS = 20
"""Each end is reported within its seconds plus this time: Events, the kubelet and the machine lag."""

SIDE_BY_SIDE = 3
"""How many situations run at a time. Each has up to two pods, and importing torch occupies a core for seconds."""

TWO_POINTS = {"sweep": {"deviceMicrobatchSize": [2, 4]}}
"""Two Points: the first ends with its first Trial, and the second runs next."""


BUCKET = {
    "remote": "s3://sdbench/photographs",
    "endpoint": "http://s3.storage:9000",
    "credentialsSecret": "s3-credentials",
}


@dataclass(frozen=True)
class Situation:
    """One way to break a run, and the expected reason and pod, within `seconds` and GRACE_SECONDS of the break."""

    name: str
    reason: str
    blamed: str
    """The suffix of the blamed pod's name."""
    seconds: int
    devices: int = 1
    spec: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    breakage: Breakage | None = None
    """What breaks the blamed pod from outside; None if the image misbehaves by itself."""
    retried: bool = True
    """Whether the next Attempt is measured; otherwise the next Point is."""


Runs = dict[str, Future[BrokenRun]]
FIRST_STEP_SECONDS, STALL_SECONDS = 120, 40
SITUATIONS = (
    Situation(
        "hangs-at-first",
        "Stalled",
        "master-0",
        FIRST_STEP_SECONDS,
        limits={"firstStepSeconds": FIRST_STEP_SECONDS},
    ),
    Situation("dies-late", "OutOfMemoryDevice", "worker-0", 3, devices=2, spec=TWO_POINTS, retried=False),
    Situation("hangs-midway", "Stalled", "master-0", STALL_SECONDS, limits={"stallSeconds": STALL_SECONDS}),
    Situation("worker-hangs", "Stalled", "worker-0", STALL_SECONDS, devices=2, limits={"stallSeconds": STALL_SECONDS}),
    Situation("takes-all-memory", "OutOfMemoryHost", "master-0", 10, spec=TWO_POINTS, retried=False),
    Situation("loses-a-rank", "Interrupted", "worker-0", 5, devices=2, breakage=kill_a_rank),
    Situation(
        "fills-shared-memory",
        "SharedMemoryFull",
        "master-0",
        60,
        spec={**TWO_POINTS, "data": BUCKET},
        retried=False,
    ),
    Situation("loses-a-pod", "Interrupted", "worker-0", 5, devices=2, breakage=delete_by_force),
)


@pytest.fixture(scope="module")
def runs(run_breaker: RunBreaker, make_namespace_once: Callable[[str], None]) -> Iterator[Runs]:
    """The future of each situation's run; the slowest start first."""

    def run(one: Situation) -> BrokenRun:
        make_namespace_once(one.name)
        spec = {"devices": few_devices(one.devices), **one.spec}
        return run_breaker.break_and_follow(one.name, one.blamed, spec, one.limits, one.breakage)

    places = ThreadPoolExecutor(SIDE_BY_SIDE)
    yield {one.name: places.submit(run, one) for one in SITUATIONS}
    places.shutdown(cancel_futures=True)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_reason_and_the_pod_are_reported_in_time(situation: Situation, runs: Runs) -> None:
    run = runs[situation.name].result()
    assert run.row["reason"] == situation.reason, run.row
    assert run.row["attempt"] == 1
    assert f"{run.row['job']}-{situation.blamed}" in run.row["message"]
    assert run.reported_seconds <= situation.seconds + GRACE_SECONDS, run.row


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_all_pods_were_gone_before_the_next_attempt_started(situation: Situation, runs: Runs) -> None:
    run = runs[situation.name].result()
    assert len(run.jobs()) == 2
    assert created_too_early(run.events) == []


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_next_attempt_or_point_is_measured_and_nothing_is_left(
    situation: Situation, runs: Runs, cluster: Cluster
) -> None:
    run = runs[situation.name].result()
    rows = run.benchmark["status"]["trials"]
    first, last = rows[0], rows[-1]
    assert last["phase"] == "Succeeded"
    assert float(last["measurement"]["imagesPerSecond"]) > 0
    assert (first["attempt"], first.get("failures")) == ((2, 1) if situation.retried else (1, first.get("failures")))
    assert (first["phase"], len(rows)) == (("Succeeded", 1) if situation.retried else ("Failed", 2))
    assert pods_holding_devices(cluster, situation.name) == []
    assert read(cluster, situation.name, "pytorchjobs")["items"] == []
