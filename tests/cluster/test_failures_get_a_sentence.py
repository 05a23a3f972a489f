"""What is a person told when the cluster can't do what was asked? A reason, a sentence with the offender, free devices.

All the questions are asked at once, each in a namespace of its own, so that their deadlines run side by side.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.harness.cluster import Cluster
from cluster.scene import apply, condition, pods_holding_devices, question, read, wait_for

GRACE_SECONDS = 20
"""Beyond its stated deadline, each failure is told within this time."""


def quota(namespace: str) -> dict[str, Any]:
    """No pod fits into it."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "nothing", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }


@dataclass(frozen=True)
class Situation:
    """One thing that is wrong, and what is said about it within `seconds` of applying."""

    name: str
    reason: str
    offender: str
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
        "nobodys-secret",
        LIMITS["startSeconds"],
        {
            "data": {
                "remote": "s3://sdbench/photographs",
                "endpoint": "http://s3.storage:9000",
                "credentialsSecret": "nobodys-secret",
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
    Situation("crash", "Crashed", "the weather was bad", LIMITS["totalSeconds"], image="crashing"),
)


@pytest.fixture(scope="module")
def told(
    cluster: Cluster, prepared: None, crashing_image: str, make_namespace_once: Any
) -> dict[str, tuple[dict[str, Any], float]]:
    """Each situation's Benchmark once it has failed, and after how many seconds it was seen."""
    began = time.monotonic()
    for situation in SITUATIONS:
        make_namespace_once(situation.name)
        if situation.beforehand:
            apply(cluster, situation.beforehand(situation.name))
        spec = {"data": None, "limits": LIMITS, **situation.spec}
        if situation.image == "crashing":
            spec["image"] = crashing_image
        apply(cluster, question(situation.name, situation.name, **spec))
    seen = {}
    for situation in SITUATIONS:
        remaining = situation.seconds + GRACE_SECONDS - (time.monotonic() - began)
        benchmark = wait_for(cluster, situation.name, situation.name, "Failed", max(1, round(remaining)))
        seen[situation.name] = benchmark, time.monotonic() - began
    return seen


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_reason_and_the_offender_are_told_in_time(situation: Situation, told: dict[str, Any]) -> None:
    benchmark, _ = told[situation.name]
    failed = condition(benchmark, "Failed")
    assert failed["reason"] == situation.reason, failed
    assert situation.offender in failed["message"]
    assert benchmark["status"]["phase"] == "Failed"
    assert condition(benchmark, "Stalled")["status"] == "True"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_no_pod_that_is_not_terminated_is_left(situation: Situation, told: dict[str, Any], cluster: Cluster) -> None:
    wait_for(cluster, situation.name, situation.name, "CleanedUp", 60)
    assert pods_holding_devices(cluster, situation.name) == []
    assert read(cluster, situation.name, "pytorchjobs")["items"] == []
