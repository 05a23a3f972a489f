"""Tests how a job that an admission policy refuses is reported, and for how long it is retried."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.controller.apiserver.errors import ApiError
from sdbench.core.trial.create_errors import REFUSED_SECONDS
from testkit.operators.operator_process import apply, read
from testkit.operators.single_pass import interruptible_cluster, row_after, stored_row
from testkit.server.examples import CreateBenchmark, example_benchmark

pytest_plugins = ["testkit.server.fixtures"]

ONE_DEVICE = example_benchmark()["spec"]["devices"] | {"counts": [1]}
SENTENCE = "a team label is required"
GROUP = {"apiVersion": "admissionregistration.k8s.io/v1"}


def policy(namespace: str) -> list[dict[str, Any]]:
    """A policy that refuses every PyTorchJob of this namespace."""
    rule = {"apiGroups": ["kubeflow.org"], "apiVersions": ["v1"], "resources": ["pytorchjobs"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule | {"operations": ["CREATE"]}]},
        "validations": [
            {"expression": "has(object.metadata.labels) && has(object.metadata.labels.team)", "message": SENTENCE}
        ],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": here}
    named = GROUP | {"metadata": {"name": namespace}}
    return [
        {"kind": "ValidatingAdmissionPolicy", **named, "spec": spec},
        {"kind": "ValidatingAdmissionPolicyBinding", **named, "spec": binding},
    ]


def wait_longer(plane: ControlPlane, namespace: str) -> None:
    """Moves the decision to create the job a minute into the past."""
    rows = read(plane, namespace, "sdb", "tiny")["status"]["trials"]
    early = datetime.now(UTC) - timedelta(seconds=REFUSED_SECONDS)
    rows[0]["queuedAt"] = early.strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = json.dumps({"status": {"trials": rows}})
    plane.kubectl(
        *("patch", "sdb", "tiny", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch),
    )


async def refused(plane: ControlPlane, namespace: str, kubeconfig: Path) -> tuple[TrialRow, TrialRow]:
    """The row once the job has been refused, and a minute later, after another refusal."""
    async with interruptible_cluster(kubeconfig, namespace) as cluster:
        # A new policy takes effect after a moment. The operator has never seen a job that is created until then.
        async with asyncio.timeout(60):
            while not await _denied(plane, namespace):
                await asyncio.sleep(0.2)
        with pytest.raises(ApiError, match=SENTENCE):
            await row_after(cluster, namespace)
        early = await stored_row(cluster, namespace)
        wait_longer(plane, namespace)
        with pytest.raises(ApiError, match=SENTENCE):
            await row_after(cluster, namespace)
        return early, await stored_row(cluster, namespace)


async def _denied(plane: ControlPlane, namespace: str) -> bool:
    container = {"name": "pytorch", "image": "x"}
    replica = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    job = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "tried"}}
    try:
        apply(plane, job | {"spec": {"pytorchReplicaSpecs": {"Master": replica}}}, "-n", namespace, "--dry-run=server")
    except Exception as error:
        return SENTENCE in str(error)
    return False


def test_a_refusal_by_a_policy_is_quoted_in_the_row_and_ends_its_point_after_a_minute(
    plane: ControlPlane, namespace: str, kubeconfig: Path, create_benchmark: CreateBenchmark
) -> None:
    for document in policy(namespace):
        apply(plane, document)
    create_benchmark(devices=ONE_DEVICE)
    early, late = asyncio.run(refused(plane, namespace, kubeconfig))
    assert (early.phase, early.attempt, early.failures) == (TrialPhase.STARTING, 1, 0)
    assert SENTENCE in early.message
    assert (late.phase, late.reason, late.scope) == (TrialPhase.FAILED, Reason.PODS_FORBIDDEN, Scope.POINT)
    assert SENTENCE in late.message
    assert read(plane, namespace, "pytorchjobs")["items"] == []
