"""Tests that a real API server accepts an Attempt's job, and its pods under the restricted Pod Security level."""

from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from sdbench.api.status import Resolved
from sdbench.controller.job.pytorchjob import pytorchjob
from testkit.operators.operator_process import apply
from unit.controller.shapes import benchmark, start

pytest_plugins = ["testkit.server.fixtures"]

GPUS = {"counts": [16], "perPod": 8, "resource": "nvidia.com/gpu"}
ZONE = "topology.kubernetes.io/zone"
EVERYTHING = {
    "queueName": "gpus",
    "priorityClassName": "system-cluster-critical",
    "schedulerName": "volcano",
    "gang": True,
    "nodeSelector": {"pool": "a100", "node.kubernetes.io/instance-type": ""},
    "tolerations": [
        {"operator": "Exists"},
        {"key": "dedicated", "value": "training", "effect": "NoSchedule"},
        {"key": "example.org/slow", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
    ],
    "onePodPerNode": True,
    "topologyKey": ZONE,
    "excludedNodes": [f"node-{number}.example.org" for number in range(64)],
}
FABRIC = {
    "environment": {"NCCL_IB_HCA": "mlx5_0", "NCCL_NOTE": "$(HOME)"},
    "resources": {"rdma/hca": "1"},
    "annotations": {"k8s.v1.cni.cncf.io/networks": "rdma"},
}
SITE = {
    "serviceAccountName": "default",
    "imagePullSecrets": ["registry", "mine"],
    "proxy": {"http": "http://proxy:3128", "https": "http://proxy:3128", "noProxy": ".example.org"},
    "caBundle": {"configMap": "site-ca"},
}
CASES: dict[str, dict[str, Any]] = {
    "cpu": {},
    "gpus": {"devices": GPUS, "trainer": {"globalBatchSize": 64}},
    "claim": {"data": {"claim": "shards"}, "imagePullSecrets": ["pull"]},
    "everything about its place": {"scheduling": EVERYTHING},
    "spread": {"scheduling": {"topologyKey": ZONE, "topologyMode": "Spread"}},
    "labels": {"podLabels": {"team": "vision", "example.org/a": ""}, "podAnnotations": {"example.org/b": "x" * 1024}},
    "preset": {"devices": GPUS, "trainer": {"globalBatchSize": 64}, "preset": FABRIC},
    "workload": {"imagePullSecrets": ["mine"], "preset": FABRIC, "workload": SITE},
}


@pytest.fixture(params=CASES)
def job(request: pytest.FixtureRequest, dry_run_namespace: str) -> dict[str, Any]:
    """The job for an Attempt with two pods."""
    changes = dict(CASES[request.param])
    added = {name: changes.pop(name) for name in ("preset", "workload") if name in changes}
    resolved = Resolved.model_validate({"image": "x", "operatorVersion": "1", **added})
    one = benchmark(**changes)
    one = one.model_copy(update={"status": one.status.model_copy(update={"resolved": resolved})})
    made = pytorchjob(one, start(one, pods=2))
    made["metadata"] |= {"namespace": dry_run_namespace}
    return made


def test_the_job_has_no_field_that_the_cluster_does_not_know(plane: ControlPlane, job: dict[str, Any]) -> None:
    apply(plane, job, "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("role", ["Master", "Worker"])
def test_restricted_pod_security_admits_the_pods(
    plane: ControlPlane, dry_run_namespace: str, job: dict[str, Any], role: str
) -> None:
    plane.kubectl(
        "label", "namespace", dry_run_namespace, "--overwrite", "pod-security.kubernetes.io/enforce=restricted"
    )
    template = job["spec"]["pytorchReplicaSpecs"][role]["template"]
    metadata = {**template["metadata"], "name": "x", "namespace": dry_run_namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    apply(plane, pod, "--dry-run=server", "--validate=strict")
