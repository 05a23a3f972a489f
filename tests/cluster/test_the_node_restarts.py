"""Tests a run whose node restarts: measured if its containers survive, retried if they do not.

Both times kubelet and containerd stop and start, sooner than the node is missed (50 seconds). The second time the
containers die meanwhile and nobody sees how, as in a restart of the machine;
tests/harness/node/restarts.py says what is not as there.
The operator and the training-operator run on this node, too, and die with it.
"""

from collections.abc import Callable

import pytest

from cluster.support.breaking import restart_the_node, restart_the_node_without_its_containers
from cluster.support.lives import Life, Stage, born_too_early, few_devices
from cluster.support.scene import pods_holding_devices, read

SURVIVOR, VICTIM = "sees-a-restart", "loses-its-node"
TOLD_SECONDS = 45
"""From the stop of the node to the cause: the kubelet must be back first, and then the operator."""


@pytest.fixture(scope="module")
def survivor(stage: Stage, make_namespace_once: Callable[[str], None]) -> Life:
    """A run that was held in its window while the node's programs restarted around it."""
    make_namespace_once(SURVIVOR)
    return stage.lived(SURVIVOR, "master-0", {"devices": few_devices(1)}, {}, restart_the_node)


@pytest.fixture(scope="module")
def victim(stage: Stage, survivor: Life, make_namespace_once: Callable[[str], None]) -> Life:
    """A run whose container did not outlive the restart."""
    make_namespace_once(VICTIM)
    deed = restart_the_node_without_its_containers
    return stage.lived(VICTIM, "master-0", {"devices": few_devices(1)}, {}, deed)


def test_a_run_whose_container_outlives_a_restart_is_measured_at_the_first_attempt(survivor: Life) -> None:
    (row,) = survivor.benchmark["status"]["trials"]
    assert (row["phase"], row["attempt"], row.get("failures", 0)) == ("Succeeded", 1, 0), row
    assert len({event["object"]["metadata"]["uid"] for event in survivor.events}) == 1


def test_a_run_whose_container_is_gone_is_told_to_have_lost_its_node(victim: Life) -> None:
    assert victim.row["reason"] == "NodeLost", victim.row
    assert f"{victim.row['job']}-master-0" in victim.row["message"]
    assert victim.told_seconds <= TOLD_SECONDS


def test_it_is_tried_again_and_measured_and_then_nothing_is_left(stage: Stage, victim: Life) -> None:
    (row,) = victim.benchmark["status"]["trials"]
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, 1), row
    assert born_too_early(victim.events) == []
    assert pods_holding_devices(stage.cluster, VICTIM) == []
    assert read(stage.cluster, VICTIM, "pytorchjobs")["items"] == []
