"""Tests that every failure names its cause and pod, leaves no pod, and that the next Trial is measured.

Each situation has a namespace and a Benchmark of its own; several live at a time, and hold until they are wanted. The
trainer's image misbehaves in the first Attempt of the first Trial only, as the Benchmark's name says (misbehaviour.py);
what can be done from outside is done from outside.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.support.breaking import delete_by_force, kill_a_rank
from cluster.support.lives import Deed, Life, Stage, born_too_early, few_devices
from cluster.support.scene import pods_holding_devices, read
from harness.cluster import Cluster

GRACE_SECONDS = 20
"""Beyond its stated seconds, each end is told within this time: Events, the kubelet's word and the machine lag."""

SIDE_BY_SIDE = 3
"""Situations at a time. Each has up to two pods, and an import of torch takes a core for many seconds."""

TWO_POINTS = {"sweep": {"deviceMicrobatchSize": [2, 4]}}
"""The first Point ends with its first Trial; the other is the next."""


BUCKET = {
    "remote": "s3://sdbench/photographs",
    "endpoint": "http://s3.storage:9000",
    "credentialsSecret": "s3-credentials",
}


@dataclass(frozen=True)
class Situation:
    """One way to break, and what is said within `seconds` (and GRACE_SECONDS) of the deed about which pod."""

    name: str
    reason: str
    culprit: str
    """The end of the pod's name."""
    seconds: int
    devices: int = 1
    spec: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    deed: Deed | None = None
    """Done to the culprit's pod, from outside; None: the image does it."""
    retried: bool = True
    """Whether the next Attempt is measured; if not, the next Point is."""


Lives = dict[str, Future[Life]]
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
    Situation("loses-a-rank", "Interrupted", "worker-0", 5, devices=2, deed=kill_a_rank),
    Situation(
        "fills-shared-memory",
        "SharedMemoryFull",
        "master-0",
        60,
        spec={**TWO_POINTS, "data": BUCKET},
        retried=False,
    ),
    Situation("loses-a-pod", "Interrupted", "worker-0", 5, devices=2, deed=delete_by_force),
)


@pytest.fixture(scope="module")
def lives(stage: Stage, make_namespace_once: Callable[[str], None]) -> Iterator[Lives]:
    """What becomes of each situation; the slow ones begin first."""

    def life(one: Situation) -> Life:
        make_namespace_once(one.name)
        spec = {"devices": few_devices(one.devices), **one.spec}
        return stage.lived(one.name, one.culprit, spec, one.limits, one.deed)

    places = ThreadPoolExecutor(SIDE_BY_SIDE)
    yield {one.name: places.submit(life, one) for one in SITUATIONS}
    places.shutdown(cancel_futures=True)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_cause_and_the_pod_are_told_within_its_seconds(situation: Situation, lives: Lives) -> None:
    life = lives[situation.name].result()
    assert life.row["reason"] == situation.reason, life.row
    assert life.row["attempt"] == 1
    assert f"{life.row['job']}-{situation.culprit}" in life.row["message"]
    assert life.told_seconds <= situation.seconds + GRACE_SECONDS, life.row


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_all_its_pods_were_gone_before_the_next_began(situation: Situation, lives: Lives) -> None:
    life = lives[situation.name].result()
    assert len(life.jobs()) == 2
    assert born_too_early(life.events) == []


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_next_is_measured_and_then_nothing_is_left(situation: Situation, lives: Lives, cluster: Cluster) -> None:
    life = lives[situation.name].result()
    rows = life.benchmark["status"]["trials"]
    first, last = rows[0], rows[-1]
    assert last["phase"] == "Succeeded"
    assert float(last["measurement"]["imagesPerSecond"]) > 0
    assert (first["attempt"], first.get("failures")) == ((2, 1) if situation.retried else (1, first.get("failures")))
    assert (first["phase"], len(rows)) == (("Succeeded", 1) if situation.retried else ("Failed", 2))
    assert pods_holding_devices(cluster, situation.name) == []
    assert read(cluster, situation.name, "pytorchjobs")["items"] == []
