"""Builds jobs and pods as the training-operator and the kubelet leave them."""

from pathlib import Path
from typing import Any

import yaml

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import Resolved
from sdbench.api.workload import Workload
from sdbench.core.snapshot import CreateJob
from sdbench_trainer.run import DataSource, RunConfig

ROOT = Path(__file__).resolve().parents[3]
UID = "40d0bd1c-ef32-46c2-8e89-71bd2091d715"
CREATED = "2026-01-01T00:00:00Z"


def benchmark(**spec: Any) -> Benchmark:
    """The example with these parts of its spec replaced."""
    document = yaml.safe_load((ROOT / "crds/examples/tiny.yaml").read_text())
    document["metadata"] |= {"namespace": "lab", "uid": UID, "resourceVersion": "7"}
    document["spec"] |= spec
    return Benchmark.model_validate(document)


def start(one: Benchmark, pods: int = 1, devices_per_pod: int = 1, remote: str | None = "s3://b/shards") -> CreateJob:
    """The first Attempt at the first Trial."""
    run = RunConfig(
        attempt="tiny-40d0b-0-1",
        devices=pods * devices_per_pod,
        accelerator=one.spec.devices.resource is not None,
        source=DataSource(remote=remote),
        trainer=one.spec.trainer,
    )
    return CreateJob("tiny-40d0b-0-1", 0, 1, "registry.example/trainer:1", run, pods, devices_per_pod)


def fixed(one: Benchmark, given: Workload) -> Benchmark:
    """The Benchmark, accepted by an administrator who fixed this."""
    resolved = Resolved(image="x", operator_version="1", workload=given)
    return one.model_copy(update={"status": one.status.model_copy(update={"resolved": resolved})})


def labels(trial: int = 0, attempt: int = 1, uid: str = UID) -> dict[str, str]:
    return {
        "sdbench.dev/benchmark": "tiny",
        "sdbench.dev/benchmark-uid": uid,
        "sdbench.dev/trial": str(trial),
        "sdbench.dev/attempt": str(attempt),
    }


def job(trial: int = 0, attempt: int = 1, workers: int = 0, uid: str = UID, **status: Any) -> dict[str, Any]:
    """A job of ours."""
    replicas = {"Master": {"replicas": 1}} | ({"Worker": {"replicas": workers}} if workers else {})
    owner = {"kind": "StableDiffusionBenchmark", "name": "tiny", "uid": uid, "controller": True}
    return {
        "metadata": {
            "name": f"tiny-{uid[:5]}-{trial}-{attempt}",
            "uid": f"job-{trial}-{attempt}",
            "creationTimestamp": CREATED,
            "labels": labels(trial, attempt, uid),
            "ownerReferences": [owner],
        },
        "spec": {"pytorchReplicaSpecs": replicas},
        "status": status,
    }


def pod(index: int = 0, phase: str = "Running", uid: str = UID, **status: Any) -> dict[str, Any]:
    """A pod of the first Attempt: the master, or worker index - 1."""
    role, number = ("worker", index - 1) if index else ("master", 0)
    training = {"training.kubeflow.org/replica-type": role, "training.kubeflow.org/replica-index": str(number)}
    return {
        "metadata": {
            "name": f"tiny-{uid[:5]}-0-1-{role}-{number}",
            "uid": f"pod-{index}",
            "creationTimestamp": CREATED,
            "labels": labels(uid=uid) | training,
        },
        "spec": {"nodeName": "node-1"},
        "status": {"phase": phase, **status},
    }


def container(state: dict[str, Any], name: str = "pytorch") -> dict[str, Any]:
    """The status of a container."""
    return {"name": name, "imageID": "registry.example/trainer@sha256:1", "state": state}
