"""Tests which scheduling, labels and annotations the API server accepts, and how it refuses the others."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from api.test_acceptance import IMMUTABLE, changed, refusal
from harness.control_plane.components import ControlPlane
from sdbench.api.benchmark import Benchmark
from sdbench.api.reserved import ALLOWED, DOMAINS, RESERVED_NAMES
from sdbench.core.plan.grid import PlanRefused
from sdbench.core.plan.validate import accepted
from testkit.operators.operator_process import apply, read
from testkit.server.examples import CreateBenchmark, example_benchmark

pytest_plugins = ["testkit.server.fixtures"]

KEY = "a key is at most 63 letters, digits, dashes, dots and underscores"
LONG = {f"example.org/{number}": "x" for number in range(33)}

RESERVED = "Invalid value: the domain of a key is reserved"
OF_OTHERS = [
    *(("spec.podLabels", key, RESERVED) for key in RESERVED_NAMES),
    *(("spec.podLabels", f"{domain}/x", RESERVED) for domain in (*DOMAINS, "deeper.below.kubernetes.io")),
    *(("spec.podAnnotations", f"{domain}/x", RESERVED) for domain in ("kubernetes.io", "sidecar.istio.io")),
]

REFUSED = [
    *((path, {key: "y"}, f"{path}: {said}") for path, key, said in OF_OTHERS),
    ("spec.scheduling.queueName", "a.b", "spec.scheduling.queueName: Invalid value"),
    ("spec.scheduling.queueName", "x" * 64, "spec.scheduling.queueName: Too long"),
    ("spec.scheduling.gang", "yes", "spec.scheduling.gang: Invalid value"),
    ("spec.scheduling.serviceAccountName", "admin", 'unknown field "spec.scheduling.serviceAccountName"'),
    ("spec.scheduling.priorityClassName", "Urgent", "spec.scheduling.priorityClassName: Invalid value"),
    ("spec.scheduling.nodeSelector", {"a b": "c"}, f"spec.scheduling.nodeSelector: Invalid value: {KEY}"),
    ("spec.scheduling.nodeSelector", {"a": "c d"}, "spec.scheduling.nodeSelector.a: Invalid value"),
    ("spec.scheduling.nodeSelector", LONG, "spec.scheduling.nodeSelector: Too many: 33"),
    ("spec.scheduling.excludedNodes", ["a..b"], "spec.scheduling.excludedNodes[0]: Invalid value"),
    ("spec.scheduling.excludedNodes", ["A"], "spec.scheduling.excludedNodes[0]: Invalid value"),
    ("spec.scheduling.excludedNodes", [f"n{n}" for n in range(65)], "spec.scheduling.excludedNodes: Too many: 65"),
    ("spec.scheduling.tolerations", [{}], "spec.scheduling.tolerations: Invalid value: name a key, or set operator"),
    (
        "spec.scheduling.tolerations",
        [{"key": "a", "operator": "Exists", "value": "b"}],
        "spec.scheduling.tolerations: Invalid value: value goes with operator Equal only",
    ),
    (
        "spec.scheduling.tolerations",
        [{"key": "a", "tolerationSeconds": 5}],
        "spec.scheduling.tolerations: Invalid value: tolerationSeconds goes with effect NoExecute only",
    ),
    (
        "spec.scheduling.tolerations",
        [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}],
        "spec.scheduling.tolerations: Invalid value: tolerationSeconds goes with effect NoExecute only",
    ),
    ("spec.scheduling.tolerations", [{"key": "a", "effect": "X"}], "tolerations[0].effect: Unsupported value"),
    ("spec.scheduling.topologyMode", "Near", "spec.scheduling.topologyMode: Unsupported value"),
    (
        "spec.scheduling.topologyMode",
        "Spread",
        "spec.scheduling.topologyKey: Required value: name the node label over whose values",
    ),
    (
        "spec.scheduling",
        {"onePodPerNode": True, "topologyKey": "kubernetes.io/hostname"},
        "spec.scheduling.onePodPerNode: Invalid value: all pods on one node, and never two on one",
    ),
    ("spec.scheduling.preset", "Fast", "spec.scheduling.preset: Invalid value"),
    ("spec.podLabels", {"a/b/c": "x"}, f"spec.podLabels: Invalid value: {KEY}"),
    ("spec.podLabels", {"a..b/c": "x"}, f"spec.podLabels: Invalid value: {KEY}"),
    ("spec.podLabels", {"a" * 64: "x"}, f"spec.podLabels: Invalid value: {KEY}"),
    ("spec.podLabels", {"x" * 300 + "/a": "x"}, f"spec.podLabels: Invalid value: {KEY}"),
    ("spec.podLabels", {"a": "x" * 64}, "spec.podLabels.a: Too long"),
    ("spec.podLabels", LONG, "spec.podLabels: Too many: 33"),
    ("spec.podAnnotations", {"example.org/a": "x" * 1025}, "spec.podAnnotations.example.org/a: Too long"),
    ("spec.podAnnotations", {"io.kubernetes.cri-o.Devices": "/dev/sda"}, "the key of an annotation needs a domain"),
]
IDS = [f"{path}={value}"[:70] for path, value, _ in REFUSED]


@pytest.mark.parametrize(("path", "value", "said"), REFUSED, ids=IDS)
def test_invalid_scheduling_is_refused_with_the_path_of_the_field(
    plane: ControlPlane, dry_run_namespace: str, path: str, value: Any, said: str
) -> None:
    assert said in refusal(plane, dry_run_namespace, changed(example_benchmark(), path, value))


@pytest.mark.parametrize(("path", "value"), [row[:2] for row in REFUSED], ids=IDS)
def test_the_plan_refuses_what_the_api_server_refuses(path: str, value: Any) -> None:
    with pytest.raises((ValidationError, PlanRefused)):
        accepted(Benchmark.model_validate_json(json.dumps(changed(example_benchmark(), path, value)), strict=True))


TAKEN = [
    ("spec.scheduling.nodeSelector", {"pool": "", "node.kubernetes.io/instance-type": "p4d.24xlarge"}),
    ("spec.scheduling.tolerations", [{"operator": "Exists"}, {"key": "a"}, {"key": "a", "value": "b"}]),
    ("spec.scheduling.excludedNodes", ["ip-10-0-0-1.ec2.internal", "node-1"]),
    ("spec.scheduling.topologyKey", "kubernetes.io/hostname"),
    ("spec.podLabels", {"team": "vision", "notkubernetes.io/x": "y", "kubernetes.io.example.org/x": "y"}),
    ("spec.podAnnotations", dict.fromkeys(ALLOWED, "false") | {"example.org/a": "$(HOME) {}"}),
]


@pytest.mark.parametrize(("path", "value"), TAKEN, ids=[path for path, _ in TAKEN])
def test_the_api_server_accepts_what_the_plan_accepts(
    plane: ControlPlane, dry_run_namespace: str, path: str, value: Any
) -> None:
    document = changed(example_benchmark(), path, value)
    assert accepted(Benchmark.model_validate_json(json.dumps(document), strict=True))
    assert refusal(plane, dry_run_namespace, document) == ""


EDITS = [
    ("spec.scheduling.queueName", "other"),
    ("spec.scheduling.gang", True),
    ("spec.scheduling.excludedNodes", ["node-1"]),
    ("spec.scheduling.preset", None),
    ("spec.scheduling.nodeSelector", {"pool": "other"}),
    ("spec.scheduling", None),
    ("spec.podLabels", {"team": "vision"}),
    ("spec.podLabels", None),
    ("spec.podLabels.team", "vision"),
    ("spec.podAnnotations", {"example.org/a": "b"}),
]
PLACED = {"preset": "rdma", "queueName": "gpus", "nodeSelector": {"pool": "a100"}}


@pytest.mark.parametrize(("path", "value"), EDITS, ids=[f"{path}={value}" for path, value in EDITS])
def test_scheduling_labels_and_annotations_cannot_be_edited(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark, path: str, value: Any
) -> None:
    document = changed(create_benchmark(scheduling=PLACED, podLabels={"team": "speech"}), path, value)
    field = ".".join(path.split(".")[:2])
    assert f"{field}: {IMMUTABLE}" in refusal(plane, namespace, document)


def test_the_defaults_of_a_placement_are_written_into_the_object(plane: ControlPlane, namespace: str) -> None:
    document = example_benchmark(scheduling={"topologyKey": "rack", "tolerations": [{"key": "a"}]})
    apply(plane, changed(document, "metadata.namespace", namespace))
    spec = read(plane, namespace, "sdb", "tiny")["spec"]
    assert spec["scheduling"] == {
        "topologyKey": "rack",
        "topologyMode": "Together",
        "tolerations": [{"key": "a", "operator": "Equal"}],
        "gang": False,
        "onePodPerNode": False,
        "nodeSelector": {},
        "excludedNodes": [],
    }
    assert (spec["podLabels"], spec["podAnnotations"]) == ({}, {})
