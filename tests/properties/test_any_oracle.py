"""Tests that the invariants find a fault: each rule of the product is broken once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from properties.simulation import Cluster
from sdbench.core import decide
from sdbench.core.schedule import next_trials
from sdbench.core.snapshot import Bounds
from sdbench.core.trial import backoff, row
from unit.core.worlds import spec

Walk = Callable[[], None]
GANG = {"counts": [2], "perPod": 1}


def passes(cluster: Cluster, many: int = 3) -> None:
    """Makes passes in which every existing pod runs."""
    for _ in range(many):
        cluster.reconciled()
        for job in cluster.jobs.values():
            for index in range(len(job.pods)):
                cluster.run(job, index)


def beyond_the_budget() -> None:
    cluster = Cluster(spec(limits={"deviceHours": "0.01"}))
    passes(cluster)
    cluster.now += timedelta(hours=1)
    cluster.reconciled()


def half_a_gang() -> None:
    cluster = Cluster(spec(devices=GANG))
    cluster.reconciled()
    (job,) = cluster.jobs.values()
    job.pods = [replace(job.pods[0], scheduled_at=cluster.now), replace(job.pods[1], unschedulable="0/2 nodes")]
    job.touched = True
    cluster.reconciled()
    cluster.now += timedelta(seconds=301)
    cluster.reconciled()
    cluster.reconciled()
    cluster.let_go(job)
    cluster.reconciled()
    cluster.reconciled()


def others_run() -> None:
    cluster = Cluster(spec(), Bounds(concurrent_trials=1))
    cluster.others = 1
    passes(cluster)


def side_by_side() -> None:
    passes(Cluster(spec(parallelism=2, limits={"maxDevices": 2})))


def to_the_end() -> None:
    cluster = Cluster(spec())
    for _ in range(30):
        cluster.reconciled()
        cluster.carried_on()


def one_pod_lingers() -> None:
    cluster = Cluster(spec(devices=GANG, repeats={"min": 2}))
    passes(cluster)
    (job,) = cluster.jobs.values()
    cluster.end(job, 1, 69)
    for _ in range(5):
        cluster.now += timedelta(seconds=16)
        cluster.reconciled()


def always(answer: Any) -> Callable[..., Any]:
    return lambda *_: answer


def counting(row: Any, end: Any, snapshot: Any, concluded: Any = row.concluded) -> Any:
    made = concluded(row, end, snapshot)
    return made.model_copy(update={"failures": made.failures + 1})


BROKEN: list[tuple[str, Walk, Any, str, Any]] = [
    ("the budget is used up", beyond_the_budget, decide, "exhausted", always(None)),
    ("started before its back-off", half_a_gang, backoff, "is_backing_off", always(False)),
    ("is counted as a failure", half_a_gang, row, "concluded", counting),
    ("more Trials than all may run", others_run, next_trials, "_taken_by_others", always(False)),
    ("maxDevices", side_by_side, next_trials, "_fits", always(True)),
    ("not charged", to_the_end, decide, "device_seconds", always(0)),
    ("more Attempts than", one_pod_lingers, next_trials, "teardown_pending", always(False)),
]


@pytest.mark.parametrize(("said", "walk", "module", "name", "instead"), BROKEN, ids=[one[0] for one in BROKEN])
def test_a_broken_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, said: str, walk: Walk, module: Any, name: str, instead: Any
) -> None:
    walk()
    monkeypatch.setattr(module, name, instead)
    with pytest.raises(AssertionError, match=said):
        walk()
