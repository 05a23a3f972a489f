"""Does a real API server take the job that is made for an Attempt, and where Pod Security is restricted its pods?"""

from typing import Any

import pytest

from api.operating import apply
from cluster.harness.control_plane import ControlPlane
from sdbench.controller.pytorchjob import pytorchjob
from unit.controller.shapes import benchmark, start

pytest_plugins = ["api.places"]

GPUS = {"counts": [16], "perPod": 8, "resource": "nvidia.com/gpu"}
CASES: dict[str, dict[str, Any]] = {
    "cpu": {},
    "gpus": {"devices": GPUS, "trainer": {"globalBatchSize": 64}},
    "claim": {"data": {"claim": "shards"}, "imagePullSecrets": ["pull"]},
}


@pytest.fixture(params=CASES)
def job(request: pytest.FixtureRequest, nowhere: str) -> dict[str, Any]:
    """The job for an Attempt with two pods."""
    one = benchmark(**CASES[request.param])
    made = pytorchjob(one, start(one, pods=2))
    made["metadata"] |= {"namespace": nowhere}
    return made


def test_the_job_has_no_field_that_the_cluster_does_not_know(plane: ControlPlane, job: dict[str, Any]) -> None:
    apply(plane, job, "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("role", ["Master", "Worker"])
def test_the_pods_are_admitted_where_pod_security_is_restricted(
    plane: ControlPlane, nowhere: str, job: dict[str, Any], role: str
) -> None:
    plane.kubectl("label", "namespace", nowhere, "--overwrite", "pod-security.kubernetes.io/enforce=restricted")
    template = job["spec"]["pytorchReplicaSpecs"][role]["template"]
    metadata = {**template["metadata"], "name": "x", "namespace": nowhere}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    apply(plane, pod, "--dry-run=server", "--validate=strict")
