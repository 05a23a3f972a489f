"""Tests that a Benchmark the cluster cannot run gets a reason and a message, and holds no devices.

All Benchmarks are created at once, each in its own namespace, so that their deadlines run at the same time.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.support.user import apply, condition, example_benchmark, line_of, pods_holding_devices, read, wait_for
from harness.addons import training_operator
from harness.cluster import Cluster

GRACE_SECONDS = 20
"""Each failure is reported within its deadline plus this time."""


def quota(namespace: str) -> dict[str, Any]:
    """A quota that allows no pod."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "nothing", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }


@dataclass(frozen=True)
class Situation:
    """One thing that is wrong, and the reason and message that are expected within `seconds`."""

    name: str
    reason: str
    expected: str
    """Text that the message contains."""
    seconds: int
    spec: dict[str, Any] = field(default_factory=dict)
    image: str = ""
    beforehand: Callable[[str], dict[str, Any]] | None = None
    labels: dict[str, str] = field(default_factory=dict)


LIMITS = {"startSeconds": 40, "rendezvousSeconds": 60, "firstStepSeconds": 120, "totalSeconds": 240}
SITUATIONS = (
    Situation(
        "missing-bucket",
        "DataMissing",
        "s3://no-such-bucket/shards",
        LIMITS["totalSeconds"],
        {
            "data": {
                "remote": "s3://no-such-bucket/shards",
                "endpoint": "http://s3.storage:9000",
                "credentialsSecret": "s3-credentials",
            }
        },
    ),
    Situation(
        "missing-secret",
        "SecretMissing",
        "absent-credentials",
        LIMITS["startSeconds"],
        {
            "data": {
                "remote": "s3://sdbench/photographs",
                "endpoint": "http://s3.storage:9000",
                "credentialsSecret": "absent-credentials",
            }
        },
    ),
    Situation(
        "unpullable-image",
        "ImagePull",
        "registry.invalid/nothing:1",
        LIMITS["startSeconds"],
        {"image": "registry.invalid/nothing:1"},
    ),
    Situation("quota", "PodsForbidden", "exceeded quota: nothing", LIMITS["startSeconds"], beforehand=quota),
    Situation("crash", "Crashed", "the test wants a crash", LIMITS["totalSeconds"], image="crashing"),
)


@pytest.fixture(scope="module")
def failures(
    cluster: Cluster, prepared: None, crashing_image: str, make_namespace_once: Any
) -> dict[str, tuple[dict[str, Any], float]]:
    """Each situation's Benchmark once it has failed, and the seconds until then."""
    began = time.monotonic()
    for situation in SITUATIONS:
        make_namespace_once(situation.name)
        if situation.beforehand:
            apply(cluster, situation.beforehand(situation.name))
        spec = {"data": None, "limits": LIMITS, **situation.spec}
        if situation.image == "crashing":
            spec["image"] = crashing_image
        apply(cluster, example_benchmark(situation.name, situation.name, **spec))
    found = {}
    for situation in SITUATIONS:
        remaining = situation.seconds + GRACE_SECONDS - (time.monotonic() - began)
        benchmark = wait_for(cluster, situation.name, situation.name, "Failed", max(1, round(remaining)))
        found[situation.name] = benchmark, time.monotonic() - began
    return found


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_reason_and_what_is_wrong_are_reported_in_time(situation: Situation, failures: dict[str, Any]) -> None:
    benchmark, _ = failures[situation.name]
    failed = condition(benchmark, "Failed")
    assert failed["reason"] == situation.reason, failed
    assert situation.expected in failed["message"]
    assert benchmark["status"]["phase"] == "Failed"
    assert condition(benchmark, "Stalled")["status"] == "True"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_kubectl_get_shows_the_reason(situation: Situation, failures: dict[str, Any], cluster: Cluster) -> None:
    columns = line_of(cluster, situation.name, situation.name)
    assert (columns["PHASE"], columns["REASON"]) == ("Failed", situation.reason)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_every_pod_is_terminated(situation: Situation, failures: dict[str, Any], cluster: Cluster) -> None:
    wait_for(cluster, situation.name, situation.name, "CleanedUp", 60)
    assert pods_holding_devices(cluster, situation.name) == []
    assert read(cluster, situation.name, "pytorchjobs")["items"] == []


@pytest.fixture
def unrestricted_training_operator(cluster: Cluster, prepared: None) -> Iterator[None]:
    """A training-operator whose workers get upstream's init container, which violates restricted Pod Security."""
    described = training_operator.INIT_CONTAINER
    before, after = described.split("  securityContext:\n")
    unrestricted = before + "  command:" + after.split("  command:")[1]
    _restart_training_operator(cluster, unrestricted)
    yield
    _restart_training_operator(cluster, described)


def _restart_training_operator(cluster: Cluster, init_container: str) -> None:
    namespace = training_operator.NAMESPACE
    template = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "init-container", "namespace": namespace},
        "data": {"initContainer.yaml": init_container},
    }
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(template))
    cluster.kubectl("rollout", "restart", "deployment/training-operator", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/training-operator", "-n", namespace, "--timeout=120s")


def test_pod_securitys_refusal_is_reported_though_the_job_does_not_show_it(
    cluster: Cluster, unrestricted_training_operator: None, make_namespace_once: Any
) -> None:
    make_namespace_once("pod-security")
    document = example_benchmark("pod-security", "pod-security", data=None, limits=LIMITS)
    document["spec"]["devices"]["counts"] = [2]
    apply(cluster, document)
    benchmark = wait_for(cluster, "pod-security", "pod-security", "Failed", LIMITS["startSeconds"] + GRACE_SECONDS)
    failed = condition(benchmark, "Failed")
    assert failed["reason"] == "PodsForbidden", failed
    assert "violates PodSecurity" in failed["message"]
    wait_for(cluster, "pod-security", "pod-security", "CleanedUp", 60)
    assert pods_holding_devices(cluster, "pod-security") == []
