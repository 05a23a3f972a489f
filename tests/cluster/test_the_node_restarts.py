"""Tests a run whose node restarts: measured if its containers survive, retried if they do not.

Both times kubelet and containerd stop and start before the node counts as lost (50 seconds). The second time the
containers die in between and nothing reports how, as in a restart of the machine; tests/harness/node/restarts.py lists
the differences. The operator and the training-operator run on this node, too, and die with it.
"""

from collections.abc import Callable

import pytest

from cluster.support.breaking import restart_the_node, restart_the_node_without_its_containers
from cluster.support.broken_run import BrokenRun, RunBreaker, created_too_early, few_devices
from cluster.support.user import pods_holding_devices, read

SURVIVOR, VICTIM = "sees-a-restart", "loses-its-node"
REPORT_SECONDS = 45
"""The time from the node's stop to the reason: first the kubelet must be back, then the operator."""


@pytest.fixture(scope="module")
def survivor(run_breaker: RunBreaker, make_namespace_once: Callable[[str], None]) -> BrokenRun:
    """A run that was held in its window while the node's programs restarted."""
    make_namespace_once(SURVIVOR)
    return run_breaker.break_and_follow(SURVIVOR, "master-0", {"devices": few_devices(1)}, {}, restart_the_node)


@pytest.fixture(scope="module")
def victim(run_breaker: RunBreaker, survivor: BrokenRun, make_namespace_once: Callable[[str], None]) -> BrokenRun:
    """A run whose container did not survive the restart."""
    make_namespace_once(VICTIM)
    breakage = restart_the_node_without_its_containers
    return run_breaker.break_and_follow(VICTIM, "master-0", {"devices": few_devices(1)}, {}, breakage)


def test_a_run_whose_container_survives_a_restart_is_measured_at_the_first_attempt(survivor: BrokenRun) -> None:
    (row,) = survivor.benchmark["status"]["trials"]
    assert (row["phase"], row["attempt"], row.get("failures", 0)) == ("Succeeded", 1, 0), row
    assert len({event["object"]["metadata"]["uid"] for event in survivor.events}) == 1


def test_a_run_whose_container_is_gone_is_reported_as_node_lost(victim: BrokenRun) -> None:
    assert victim.row["reason"] == "NodeLost", victim.row
    assert f"{victim.row['job']}-master-0" in victim.row["message"]
    assert victim.reported_seconds <= REPORT_SECONDS


def test_that_run_is_retried_and_measured_and_nothing_is_left(run_breaker: RunBreaker, victim: BrokenRun) -> None:
    (row,) = victim.benchmark["status"]["trials"]
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, 1), row
    assert created_too_early(victim.events) == []
    assert pods_holding_devices(run_breaker.cluster, VICTIM) == []
    assert read(run_breaker.cluster, VICTIM, "pytorchjobs")["items"] == []
