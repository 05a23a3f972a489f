"""Tests that the real scheduler places the pods of an Attempt as the spec asks.

Each node has room for two pods; the node of the fourth is tainted. What does not fit must be left over, so that each
wish shows in where pods are and in how many find no place.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench.controller.job.pytorchjob import pytorchjob
from testkit.cluster.fake_nodes import FakeNode, fake_nodes
from testkit.cluster.scripted_pods import pods_of
from testkit.operators.operator_process import apply
from unit.controller.shapes import benchmark, start

pytest_plugins = ["testkit.server.fixtures"]

ZONE = "example.org/zone"
DEDICATED = "example.org/dedicated"
MACHINES = (
    FakeNode("near-1", {ZONE: "near"}),
    FakeNode("near-2", {ZONE: "near", "pool": "fast"}),
    FakeNode("far-1", {ZONE: "far"}),
    FakeNode("reserved-1", {ZONE: "reserved", "pool": "reserved"}, taint=DEDICATED),
)
ZONE_OF = {machine.name: machine.labels[ZONE] for machine in MACHINES}


@dataclass(frozen=True)
class Placement:
    """The number of pods on each node, and the scheduler's message about each pod without a node."""

    nodes: Counter[str]
    unplaced: tuple[str, ...]

    @property
    def zones(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for node, pods in self.nodes.items():
            found[ZONE_OF[node]] += pods
        return found


@pytest.fixture(scope="module", autouse=True)
def machines(plane: ControlPlane) -> Iterator[None]:
    """Four nodes."""
    with fake_nodes(plane.kubeconfig, MACHINES):
        ready = ("get", "nodes", "-o", "json", *(machine.name for machine in MACHINES))
        until(lambda: not _signs_of_loss(plane.kubectl(*ready)), 30, "the nodes to be ready for pods")
        yield


def _signs_of_loss(nodes: str) -> list[str]:
    taints = [taint["key"] for node in json.loads(nodes)["items"] for taint in node["spec"].get("taints", ())]
    return [key for key in taints if key.startswith("node.kubernetes.io/")]


Placed = Callable[..., Placement]


@pytest.fixture
def placed(plane: ControlPlane, namespace: str) -> Iterator[Placed]:
    """Creates the pods of an Attempt with this `spec.scheduling`, and returns where the scheduler has put them."""

    def place(pods: int, trial: int = 0, **scheduling: Any) -> Placement:
        one = benchmark(scheduling=scheduling, trainer=QUICK, devices=SMALL)
        job = pytorchjob(one, replace(start(one, pods=pods), name=f"tiny-{trial}", trial=trial))
        job["metadata"] |= {"namespace": namespace, "uid": "0"}
        unbound = [_unbound(pod, namespace) for pod in pods_of(job)]
        apply(plane, {"apiVersion": "v1", "kind": "List", "items": unbound})
        chosen = f"app.kubernetes.io/instance=tiny-{trial}"
        return until(lambda: _settled(_read(plane, namespace, chosen), pods), 30, "the scheduler to judge every pod")

    yield place
    plane.kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=0", "--force")


QUICK = {"model": "tiny", "precision": "fp32", "globalBatchSize": 8, "allowRaggedBatch": True}
SMALL = {"counts": [1], "perPod": 1, "perDevice": {"cpu": "1", "memory": "1Gi", "sharedMemory": "1Mi"}}


def _unbound(pod: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The pod without an owner, so that only the scheduler acts on it."""
    metadata = {"name": pod["metadata"]["name"], "labels": pod["metadata"]["labels"], "namespace": namespace}
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _read(plane: ControlPlane, namespace: str, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        plane.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json")
    )["items"]
    return found


def _settled(pods: list[dict[str, Any]], expected: int) -> Placement | None:
    """Where the pods are, once each is bound or unschedulable."""
    nodes, unplaced = Counter[str](), []
    for pod in pods:
        judged = [one for one in pod["status"].get("conditions", ()) if one["type"] == "PodScheduled"]
        if "nodeName" in pod["spec"]:
            nodes[pod["spec"]["nodeName"]] += 1
        elif judged:
            unplaced.append(judged[0]["message"])
    return Placement(nodes, tuple(unplaced)) if nodes.total() + len(unplaced) == expected else None


def test_pods_without_constraints_run_on_any_untainted_node(placed: Placed) -> None:
    found = placed(6)
    assert found.nodes == {"near-1": 2, "near-2": 2, "far-1": 2}
    assert found.unplaced == ()


WISHES = [
    ({"excludedNodes": ["near-1", "near-2"]}, 3, {"far-1": 2}),
    ({"nodeSelector": {"pool": "fast"}}, 3, {"near-2": 2}),
    ({"nodeSelector": {"pool": "reserved"}}, 1, {}),
    (
        {"nodeSelector": {"pool": "reserved"}, "tolerations": [{"key": DEDICATED, "operator": "Exists"}]},
        3,
        {"reserved-1": 2},
    ),
    ({"onePodPerNode": True}, 4, {"near-1": 1, "near-2": 1, "far-1": 1}),
    ({"onePodPerNode": True, "excludedNodes": ["far-1"]}, 3, {"near-1": 1, "near-2": 1}),
]


@pytest.mark.parametrize(("scheduling", "pods", "nodes"), WISHES, ids=[str(row[0]) for row in WISHES])
def test_constraints_decide_on_which_nodes_pods_run(
    placed: Placed, scheduling: dict[str, Any], pods: int, nodes: dict[str, int]
) -> None:
    found = placed(pods, **scheduling)
    assert found.nodes == nodes
    assert len(found.unplaced) == pods - sum(nodes.values())


def test_together_puts_all_pods_in_one_zone_and_the_first_pod_can_be_scheduled_alone(placed: Placed) -> None:
    found = placed(5, topologyKey=ZONE)
    assert found.zones in ({"near": 4}, {"far": 2})
    assert len(found.unplaced) == 5 - found.nodes.total()


def test_together_counts_the_pods_of_one_attempt_only(placed: Placed) -> None:
    first = placed(2, topologyKey=ZONE, excludedNodes=["far-1"])
    second = placed(2, trial=1, topologyKey=ZONE, excludedNodes=["near-1", "near-2"])
    assert (first.zones, second.zones) == ({"near": 2}, {"far": 2})


def test_one_pod_on_each_node_counts_the_pods_of_one_attempt_only(placed: Placed) -> None:
    alone = {"onePodPerNode": True, "nodeSelector": {"pool": "fast"}}
    assert [placed(1, trial=trial, **alone).nodes for trial in (0, 1)] == [{"near-2": 1}, {"near-2": 1}]


def test_spread_keeps_zones_within_one_pod_of_each_other_and_ignores_a_tainted_one(placed: Placed) -> None:
    found = placed(6, topologyKey=ZONE, topologyMode="Spread")
    assert found.zones == {"near": 3, "far": 2}
    assert len(found.unplaced) == 1


def test_a_priority_class_gives_the_pods_its_priority(plane: ControlPlane, namespace: str, placed: Placed) -> None:
    placed(1, priorityClassName="system-cluster-critical")
    (pod,) = _read(plane, namespace, "sdbench.dev/benchmark=tiny")
    assert pod["spec"]["priority"] == 2_000_000_000
