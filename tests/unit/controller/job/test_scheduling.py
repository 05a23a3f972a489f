"""Tests that pods carry what a scheduler and a queue must know."""

from dataclasses import replace
from typing import Any

import pytest

from sdbench.api.names import attempt_name
from sdbench.api.spec_scheduling import Preset
from sdbench.api.status import Resolved
from sdbench.controller.apiserver.requests import CALLS
from sdbench.controller.job.pytorchjob import pytorchjob
from sdbench.controller.job.scheduling import LOST_NODE_SECONDS
from unit.controller.shapes import UID, benchmark, start

SIBLINGS = {"matchLabels": {"app.kubernetes.io/instance": "tiny-40d0b-0-1"}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
UNREACHABLE, NOT_READY = "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"


def job(pods: int = 2, preset: Preset | None = None, **spec: Any) -> dict[str, Any]:
    """The job of an Attempt with these parts of its spec."""
    one = benchmark(**spec)
    if preset is not None:
        resolved = Resolved(image="x", operator_version="1", preset=preset)
        one = one.model_copy(update={"status": one.status.model_copy(update={"resolved": resolved})})
    return pytorchjob(one, start(one, pods=pods))


def templates(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [replica["template"] for replica in made["spec"]["pytorchReplicaSpecs"].values()]


def pods(**scheduling: Any) -> list[dict[str, Any]]:
    """The pods of the master and the workers with these scheduling fields."""
    return [template["spec"] for template in templates(job(scheduling=scheduling))]


PLACED = [
    ({"priorityClassName": "urgent"}, "priorityClassName", "urgent"),
    ({"schedulerName": "volcano"}, "schedulerName", "volcano"),
    ({"nodeSelector": {"pool": "a100"}}, "nodeSelector", {"pool": "a100"}),
    (
        {"excludedNodes": ["a", "b"]},
        "affinity",
        {
            "nodeAffinity": {
                REQUIRED: {
                    "nodeSelectorTerms": [
                        {
                            "matchFields": [
                                {"key": "metadata.name", "operator": "NotIn", "values": ["a"]},
                                {"key": "metadata.name", "operator": "NotIn", "values": ["b"]},
                            ]
                        }
                    ]
                }
            }
        },
    ),
    (
        {"onePodPerNode": True},
        "affinity",
        {"podAntiAffinity": {REQUIRED: [{"topologyKey": "kubernetes.io/hostname", "labelSelector": SIBLINGS}]}},
    ),
    (
        {"topologyKey": "rack"},
        "affinity",
        {"podAffinity": {REQUIRED: [{"topologyKey": "rack", "labelSelector": SIBLINGS}]}},
    ),
    (
        {"topologyKey": "rack", "topologyMode": "Spread"},
        "topologySpreadConstraints",
        [
            {
                "maxSkew": 1,
                "topologyKey": "rack",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": SIBLINGS,
                "nodeTaintsPolicy": "Honor",
            }
        ],
    ),
]


@pytest.mark.parametrize(("scheduling", "field", "value"), PLACED, ids=[str(row[0]) for row in PLACED])
def test_every_pod_says_where_it_may_run(scheduling: dict[str, Any], field: str, value: Any) -> None:
    assert [pod.get(field) for pod in pods(**scheduling)] == [value, value]
    others = {"affinity", "nodeSelector", "schedulerName", "priorityClassName", "topologySpreadConstraints"} - {field}
    assert not [pod.keys() & others for pod in pods(**scheduling) if pod.keys() & others]


def tolerated(*given: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Seconds for which a pod tolerates each (key, effect); None means forever."""
    found = pods(tolerations=given)[0]["tolerations"]
    return {(one.get("key", ""), one.get("effect", "")): one.get("tolerationSeconds") for one in found}


LOST = [
    ((), {(UNREACHABLE, "NoExecute"): LOST_NODE_SECONDS, (NOT_READY, "NoExecute"): LOST_NODE_SECONDS}),
    (
        ({"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 600},),
        {(UNREACHABLE, "NoExecute"): 600, (NOT_READY, "NoExecute"): LOST_NODE_SECONDS},
    ),
    (
        ({"key": NOT_READY, "operator": "Exists", "effect": "NoSchedule"},),
        {
            (NOT_READY, "NoSchedule"): None,
            (UNREACHABLE, "NoExecute"): LOST_NODE_SECONDS,
            (NOT_READY, "NoExecute"): LOST_NODE_SECONDS,
        },
    ),
    (({"operator": "Exists"},), {("", ""): None}),
]


@pytest.mark.parametrize(("given", "seconds"), LOST)
def test_pods_leave_a_lost_node_soon_unless_the_author_says_when(given: Any, seconds: Any) -> None:
    assert tolerated(*given) == seconds


def test_a_toleration_has_the_fields_that_kubernetes_reads() -> None:
    given = {"key": "dedicated", "operator": "Equal", "value": "training", "effect": "NoSchedule"}
    assert pods(tolerations=[given])[0]["tolerations"][0] == given


def test_the_queue_label_is_on_the_job_and_not_on_its_pods() -> None:
    made = job(scheduling={"queueName": "gpus"})
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    for template in templates(made):
        assert not [key for key in template["metadata"]["labels"] if "kueue" in key]


def test_without_a_queue_the_job_has_no_queue_label() -> None:
    assert not [key for key in job()["metadata"]["labels"] if "kueue" in key]


@pytest.mark.parametrize("scheduling", [{}, {"queueName": "gpus"}, {"queueName": "gpus", "gang": True}])
def test_the_operator_never_writes_suspend(scheduling: dict[str, Any]) -> None:
    assert "suspend" not in job(scheduling=scheduling)["spec"]["runPolicy"]


def test_the_operator_has_no_call_that_changes_a_job() -> None:
    changing = {call.method for call in CALLS if call.right.resource.startswith("pytorchjobs")}
    assert changing == {"GET", "POST", "DELETE"}


@pytest.mark.parametrize(
    ("scheduling", "policy"),
    [
        ({}, None),
        ({"gang": True}, {"minAvailable": 4}),
        (
            {"gang": True, "queueName": "gpus", "priorityClassName": "urgent"},
            {"minAvailable": 4, "queue": "gpus", "priorityClass": "urgent"},
        ),
    ],
)
def test_a_gang_asks_for_all_of_the_pods(scheduling: dict[str, Any], policy: Any) -> None:
    assert job(pods=4, scheduling=scheduling)["spec"]["runPolicy"].get("schedulingPolicy") == policy


def test_labels_and_annotations_of_the_author_are_on_the_pods_beside_ours() -> None:
    made = job(podLabels={"team": "vision"}, podAnnotations={"example.org/cost": "42"})
    for template in templates(made):
        assert template["metadata"]["labels"]["team"] == "vision"
        assert template["metadata"]["labels"]["sdbench.dev/benchmark"] == "tiny"
        assert template["metadata"]["annotations"] == {"example.org/cost": "42"}
    assert "team" not in made["metadata"]["labels"]


def test_no_label_of_the_author_replaces_one_of_ours() -> None:
    plain, labelled = job(), job(podLabels={"sdbench.dev/benchmark": "x", "app.kubernetes.io/instance": "x"})
    assert templates(labelled) == templates(plain)


FABRIC = Preset(
    environment={"NCCL_IB_HCA": "mlx5", "NCCL_SOCKET_IFNAME": "$(HOME)/$x"},
    resources={"rdma/hca": "1"},
    annotations={"k8s.v1.cni.cncf.io/networks": "rdma", "example.org/cost": "1"},
)


def test_a_preset_is_in_every_pod_as_its_administrator_wrote_it() -> None:
    for template in templates(job(preset=FABRIC, podAnnotations={"example.org/cost": "42"})):
        (container,) = template["spec"]["containers"]
        environment = {one["name"]: one["value"] for one in container["env"]}
        assert environment["NCCL_IB_HCA"] == "mlx5"
        assert container["resources"]["requests"]["rdma/hca"] == container["resources"]["limits"]["rdma/hca"] == "1"
        assert template["metadata"]["annotations"] == FABRIC.annotations


def test_the_kubelet_expands_nothing_in_a_preset() -> None:
    (container,) = templates(job(preset=FABRIC))[0]["spec"]["containers"]
    (value,) = (one["value"] for one in container["env"] if one["name"] == "NCCL_SOCKET_IFNAME")
    assert value == "$$(HOME)/$$x"
    assert value.replace("$$", "$") == FABRIC.environment["NCCL_SOCKET_IFNAME"]


def test_the_longest_names_still_give_valid_labels_and_pod_names() -> None:
    one = benchmark()
    named = one.model_copy(update={"metadata": one.metadata.model_copy(update={"name": "x" * 36})})
    name = attempt_name("x" * 36, UID, 511, 999)
    made = pytorchjob(named, replace(start(named, pods=8), name=name, trial=511, attempt=999))
    labels = [made["metadata"]["labels"], *(template["metadata"]["labels"] for template in templates(made))]
    assert not [value for some in labels for value in some.values() if len(value) > 63]
    assert len(f"{name}-worker-65534") <= 63
