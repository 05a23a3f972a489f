"""Tests that the job of an Attempt is what the cluster must run.

`UPDATE_GOLDEN=1 pytest tests/unit/controller` updates the golden files; read their diff.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdbench.api.benchmark import Benchmark
from sdbench.api.workload import Workload
from sdbench.controller.job.pytorchjob import multiplied, pytorchjob, run_text, whole_cores
from sdbench.core.snapshot import CreateJob
from sdbench_trainer.run import RunConfig
from unit.controller.shapes import benchmark, fixed, start

GOLDEN = Path(__file__).parent / "golden"

GPUS = {
    "counts": [16],
    "perPod": 8,
    "resource": "nvidia.com/gpu",
    "perDevice": {"cpu": "7500m", "memory": "64Gi", "sharedMemory": "8Gi"},
}

SITE = {
    "serviceAccountName": "trainer",
    "imagePullSecrets": ["registry", "mirror"],
    "proxy": {"http": "http://proxy.example:3128", "https": "http://proxy.example:3128", "noProxy": ".example.org"},
    "caBundle": {"configMap": "site-ca", "key": "bundle.pem"},
}


def on_cpu() -> tuple[Benchmark, CreateJob]:
    one = benchmark()
    return one, start(one)


def on_gpus() -> tuple[Benchmark, CreateJob]:
    one = benchmark(devices=GPUS, data={"claim": "shards"}, imagePullSecrets=["pull"], trainer={"globalBatchSize": 64})
    return one, start(one, pods=2, devices_per_pod=8, remote=None)


def on_a_site() -> tuple[Benchmark, CreateJob]:
    """A job for which the administrator fixes everything that a Workload can hold."""
    data = {"remote": "s3://b/shards", "endpoint": "http://minio:9000"}
    one = fixed(benchmark(data=data, imagePullSecrets=["mine", "registry"]), Workload.model_validate(SITE))
    return one, start(one, pods=2)


CASES = [("cpu-one-pod", on_cpu), ("gpu-two-pods", on_gpus), ("site-two-pods", on_a_site)]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_job_equals_the_stored_manifest(name: str, case: Any) -> None:
    # Through JSON, because YAML would write a part that is used twice as an alias.
    made = yaml.safe_dump(json.loads(json.dumps(pytorchjob(*case()))), sort_keys=False)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(made)
    assert made == path.read_text()


def test_one_pod_needs_no_workers() -> None:
    assert list(pytorchjob(*on_cpu())["spec"]["pytorchReplicaSpecs"]) == ["Master"]


def test_the_master_counts_among_the_pods() -> None:
    replicas = pytorchjob(*on_gpus())["spec"]["pytorchReplicaSpecs"]
    assert {name: replica["replicas"] for name, replica in replicas.items()} == {"Master": 1, "Worker": 1}


def test_only_the_master_with_rank_0_is_to_be_scraped() -> None:
    replicas = pytorchjob(*on_gpus())["spec"]["pytorchReplicaSpecs"]
    ports = {name: _ports(replica) for name, replica in replicas.items()}
    assert ports == {"Master": ["metrics", "pytorchjob-port"], "Worker": ["pytorchjob-port"]}


def _ports(replica: dict[str, Any]) -> list[str]:
    return [port["name"] for port in replica["template"]["spec"]["containers"][0]["ports"]]


def test_the_kubelet_expands_nothing_and_the_trainer_reads_what_was_written() -> None:
    one = benchmark()
    run = start(one, remote="s3://b/$(HOME)/$x").run
    text = run_text(run)
    assert "$" not in text
    assert RunConfig.model_validate(json.loads(text)) == run


@pytest.mark.parametrize(
    ("quantity", "times", "product"),
    [("500m", 2, "1000m"), ("1.5", 2, "3"), ("3Gi", 1, "3Gi"), ("0.1Gi", 8, "0.8Gi"), ("8", 10, "80")],
)
def test_a_quantity_is_multiplied_in_its_own_unit(quantity: str, times: int, product: str) -> None:
    assert multiplied(quantity, times) == product


@pytest.mark.parametrize(("cpu", "cores"), [("500m", 1), ("1", 1), ("7500m", 7), ("2.9", 2)])
def test_a_rank_has_a_thread_for_each_of_its_whole_cores(cpu: str, cores: int) -> None:
    assert whole_cores(cpu) == cores
