"""Tests which specs the API server accepts, which it refuses, and with which message."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.control_plane.components import ControlPlane
from harness.failure import HarnessError
from sdbench.api.benchmark import Benchmark
from sdbench.core.plan.grid import PlanRefused, plan
from testkit.operators.operator_process import ROOT, apply, read
from testkit.server.examples import CreateBenchmark, example_benchmark

pytest_plugins = ["testkit.server.fixtures"]

IMMUTABLE = "Forbidden: immutable: create another benchmark"


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a path such as spec.devices.counts; None removes the field."""
    result = copy.deepcopy(document)
    *parents, last = path.split(".")
    place = result
    for name in parents:
        place = place.setdefault(name, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return result


def refusal(plane: ControlPlane, namespace: str, document: dict[str, Any]) -> str:
    """The error of kubectl if the document is refused, else empty."""
    document = changed(document, "metadata.namespace", namespace)
    try:
        apply(plane, document, "--dry-run=server")
    except HarnessError as error:
        return str(error)
    return ""


OTHER_SIZE = {"images": 1, "imageSize": 256}
OWN_SIZE = {"images": 1, "imageSize": 64}

GOALS = [
    ("spec.projection", {"images": 1, "stages": [OWN_SIZE]}, "spec.projection.stages: Invalid value: set images or"),
    ("spec.projection.stages", [], "spec.projection.stages: Invalid value"),
    (
        "spec.projection.stages",
        [OWN_SIZE, OTHER_SIZE],
        "spec.projection.stages: Invalid value: a stage at another size",
    ),
    (
        "spec.projection.stages",
        [OWN_SIZE | {"benchmark": "a", "rateRatio": "2"}],
        "set benchmark or rateRatio, not both",
    ),
    ("spec.projection.stages", [OTHER_SIZE | {"rateRatio": "0"}], "rateRatio must be above 0"),
    ("spec.projection.stages", [OTHER_SIZE | {"benchmark": "tiny"}], "projection.stages: Invalid value: name another"),
    ("spec.projection.stages", [OTHER_SIZE | {"benchmark": "A"}], "spec.projection.stages[0].benchmark: Invalid value"),
    ("spec.gate", {}, "spec.gate: Invalid value: write at least one limit"),
    ("spec.gate", {"devices": [1]}, "spec.gate: Invalid value: write at least one limit"),
    ("spec.gate", {"devices": [3], "maxDays": "1"}, "spec.gate.devices: Invalid value: every count must be in"),
    ("spec.gate.maxDays", 3, "spec.gate.maxDays: Invalid value"),
    ("spec.gate.maxDays", "NaN", "spec.gate.maxDays: Invalid value"),
    (
        "spec.gate.maxDataWaitRatio",
        "1.5",
        "spec.gate.maxDataWaitRatio: Invalid value: must be at least 0 and at most 1",
    ),
    ("spec.gate.minMfu", "40", "spec.gate.minMfu: Invalid value: must be at least 0 and at most 1"),
    ("spec.gate.minSpeed", "1", 'unknown field "spec.gate.minSpeed"'),
    ("spec.gate.baseline", {"name": "tiny"}, "spec.gate.baseline.name: Invalid value: name another benchmark"),
    ("spec.gate.baseline", {"maxRegression": "0.1"}, "spec.gate.baseline.name: Required value"),
    (
        "spec.gate.baseline",
        {"name": "a", "maxRegression": "2"},
        "spec.gate.baseline.maxRegression: Invalid value: must be",
    ),
]

REFUSED = [
    *GOALS,
    ("spec.devices.foo", 1, 'unknown field "spec.devices.foo"'),
    ("spec.devices.counts", ["2"], "spec.devices.counts[0]: Invalid value"),
    ("spec.devices.counts", [], "spec.devices.counts: Invalid value"),
    ("spec.devices.counts", [2, 1, 2], "spec.devices.counts: Invalid value: write each count once"),
    ("spec.devices.perPod", 100, "spec.devices.perPod: Invalid value"),
    ("spec.devices", {"counts": [12], "perPod": 8}, "spec.devices.counts: Invalid value: a count above perPod must"),
    ("spec.devices.hourlyPrice", 2, "spec.devices.hourlyPrice: Invalid value"),
    ("spec.devices.perDevice.sharedMemory", "3Gi", "perDevice.sharedMemory: Invalid value: must be less than memory"),
    ("spec.repeats.min", 0, "spec.repeats.min: Invalid value"),
    ("spec.repeats", {"min": 3, "max": 2}, "spec.repeats.max: Invalid value: must be at least min"),
    ("spec.repeats.max", 5, "spec.repeats.targetCoefficientOfVariation: Required value: set it when max is above min"),
    (
        "spec.repeats",
        {"max": 5, "targetCoefficientOfVariation": "0.00"},
        "spec.repeats.targetCoefficientOfVariation: Invalid value: must be above 0",
    ),
    ("spec.trainer.globalBatchSize", 9, "spec.trainer.globalBatchSize: Invalid value: must be a multiple of every"),
    ("spec.trainer.deviceMicrobatchSize", 3, "spec.trainer.deviceMicrobatchSize: Invalid value: must divide"),
    ("spec.trainer.globalBatchSize", 1, "spec.trainer.globalBatchSize: Invalid value: must be at least every count"),
    (
        "spec.trainer",
        {"precision": "fp32", "globalBatchSize": 1, "allowRaggedBatch": True},
        "spec.trainer.globalBatchSize: Invalid value: must be at least every count",
    ),
    (
        "spec.sweep",
        {"globalBatchSize": [9], "allowRaggedBatch": [True, False]},
        "spec.sweep.globalBatchSize: Invalid value: must be a multiple of every count",
    ),
    (
        "spec.sweep",
        {"deviceMicrobatchSize": [3], "allowRaggedBatch": [False, True]},
        "spec.sweep.deviceMicrobatchSize: Invalid value: must divide globalBatchSize / devices",
    ),
    (
        "spec",
        {"scaling": "Weak", "devices": {"counts": [1, 1024]}, "trainer": {"precision": "fp32"}},
        "spec.trainer.globalBatchSize: Invalid value: grows beyond 1048576 images at the largest count",
    ),
    ("spec.trainer.precision", "amp_fp16", "spec.trainer.precision: Invalid value: amp_fp16 needs an accelerator"),
    ("spec.trainer.precision", None, "spec.trainer.precision: Invalid value: amp_fp16 needs an accelerator"),
    (
        "spec.sweep.precision",
        ["fp32", "amp_fp16"],
        "spec.sweep.precision: Invalid value: amp_fp16 needs an accelerator",
    ),
    ("spec.trainer.attention", "xformers", "spec.trainer.attention: Invalid value: xformers needs an NVIDIA GPU"),
    ("spec.sweep.attention", ["xformers"], "spec.sweep.attention: Invalid value: xformers needs an NVIDIA GPU"),
    ("spec.trainer.automaticMicrobatch", True, "spec.trainer.automaticMicrobatch: Invalid value: only a GPU's memory"),
    ("spec.sweep.automaticMicrobatch", [False, True], "spec.sweep.automaticMicrobatch: Invalid value: only a GPU's"),
    (
        "spec.sweep",
        {"dataParallel": ["ddp", "fsdp2"], "channelsLast": [True]},
        "spec.sweep.channelsLast: Invalid value: FSDP2 shards weights of the usual layout only",
    ),
    (
        "spec.trainer",
        {"precision": "fp32", "dataParallel": "fsdp2", "channelsLast": True},
        "spec.trainer.channelsLast: Invalid value: FSDP2 shards weights of the usual layout only",
    ),
    ("spec.trainer.precision", "amp_bf16", "spec.trainer.precision: Invalid value: amp_bf16 needs an accelerator"),
    (
        "spec.trainer.window.maxForeignCpuRatio",
        "1.01",
        "spec.trainer.window.maxForeignCpuRatio: Invalid value: must be",
    ),
    ("spec.sweep.window", {"maxForeignCpuRatio": ["0.1", "2"]}, "spec.sweep.window.maxForeignCpuRatio: Invalid value"),
    ("spec.devices.peakTeraflops", "0", "spec.devices.peakTeraflops: Invalid value: must be above 0"),
    ("spec.trainer.learningRate", 0.1, "spec.trainer.learningRate: Invalid value"),
    ("spec.trainer.captionDropout", "1.5", "spec.trainer.captionDropout: Invalid value: must be at least 0"),
    ("spec.trainer.ema.smoothing", "1", "spec.trainer.ema.smoothing: Invalid value: must be at least 0 and below 1"),
    ("spec.trainer.model", "sdxl", 'spec.trainer.model: Unsupported value: "sdxl"'),
    ("spec.trainer.imageSize", 65, "spec.trainer.imageSize: Invalid value"),
    ("spec.trainer", None, "spec.trainer: Required value"),
    ("spec.sweep.deviceMicrobatchSize", [2, 2], "spec.sweep.deviceMicrobatchSize: Invalid value: write each value"),
    ("spec.sweep.deviceMicrobatchSize", [2, 3], "spec.sweep.deviceMicrobatchSize: Invalid value: must divide"),
    ("spec.sweep.globalBatchSize", [8, 9], "spec.sweep.globalBatchSize: Invalid value: must be a multiple"),
    ("spec.sweep.ema.smoothing", ["1.0"], "spec.sweep.ema.smoothing: Invalid value: must be at least 0 and below 1"),
    ("spec.sweep.seed", list(range(33)), "spec.sweep.seed: Too many: 33"),
    ("spec.sweep.momentum", [1], 'unknown field "spec.sweep.momentum"'),
    ("spec.data", {"remote": "s3://a/b", "claim": "c"}, "spec.data.claim: Invalid value: set remote or claim"),
    ("spec.data.remote", "s3://key:secret@bucket/x", "spec.data.remote: Invalid value"),
    ("spec.limits.maxDevices", 1, "spec.devices.counts: Invalid value: every count must be at most limits.maxDevices"),
    ("metadata.name", "x" * 37, "metadata.name: Invalid value: use at most 36 characters"),
    ("metadata.name", "8gpu", "metadata.name: Invalid value: use lower-case letters"),
    ("metadata.name", "a.b", "metadata.name: Invalid value: use lower-case letters"),
]


@pytest.mark.parametrize(("path", "value", "said"), REFUSED, ids=[f"{path}={value}"[:60] for path, value, _ in REFUSED])
def test_an_invalid_spec_is_refused_with_the_path_of_the_field(
    plane: ControlPlane, dry_run_namespace: str, path: str, value: Any, said: str
) -> None:
    assert said in refusal(plane, dry_run_namespace, changed(example_benchmark(), path, value))


OF_THE_PLAN = ("spec.repeats", "spec.sweep", "spec.trainer", "spec.devices.")
BY_THE_PLAN_TOO = [
    pytest.param(path, value, id=f"{path}={value}"[:60])
    for path, value, _ in REFUSED
    if path.startswith(OF_THE_PLAN) and "perDevice" not in path
]


@pytest.mark.parametrize(("path", "value"), BY_THE_PLAN_TOO)
def test_the_plan_refuses_what_the_api_server_refuses(path: str, value: Any) -> None:
    with pytest.raises((ValidationError, PlanRefused)):
        plan(Benchmark.model_validate_json(json.dumps(changed(example_benchmark(), path, value)), strict=True).spec)


def test_a_plan_of_more_than_512_trials_is_refused(plane: ControlPlane, dry_run_namespace: str) -> None:
    large = changed(changed(example_benchmark(), "spec.sweep.seed", list(range(26))), "spec.repeats.min", 10)
    assert "must be at most 512 trials" in refusal(plane, dry_run_namespace, large)
    assert refusal(plane, dry_run_namespace, changed(large, "spec.repeats.min", 9)) == ""
    up_to = {"min": 1, "max": 10, "targetCoefficientOfVariation": "0.02"}
    assert "must be at most 512 trials" in refusal(plane, dry_run_namespace, changed(large, "spec.repeats", up_to))


def test_under_weak_scaling_the_batch_is_that_of_the_smallest_count(
    plane: ControlPlane, dry_run_namespace: str
) -> None:
    odd = changed(changed(example_benchmark(), "spec.devices.counts", [1, 3]), "spec.trainer.deviceMicrobatchSize", 4)
    assert "spec.trainer.globalBatchSize" in refusal(plane, dry_run_namespace, odd)
    assert refusal(plane, dry_run_namespace, changed(odd, "spec.scaling", "Weak")) == ""


ALL_OF_IT = {"maxForeignCpuRatio": "1"}
GPU = {"counts": [1, 3], "resource": "nvidia.com/gpu"}

TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("a batch that is cut", {"devices": GPU, "trainer": {"allowRaggedBatch": True, "globalBatchSize": 2048}}),
    ("a batch that is cut in every cell", {"devices": GPU, "trainer": {}, "sweep": {"allowRaggedBatch": [True]}}),
    (
        "a smaller last microbatch",
        {"devices": {"counts": [1]}, "trainer": {"precision": "fp32", "globalBatchSize": 6, "allowRaggedBatch": True}},
    ),
    (
        "a microbatch that is found on the device",
        {"devices": {**GPU, "counts": [1]}, "trainer": {"globalBatchSize": 6, "automaticMicrobatch": True}},
    ),
    (
        "a precision of CPUs in every cell, whatever the default is",
        {"devices": {"counts": [1]}, "trainer": {}, "sweep": {"precision": ["fp32"]}},
    ),
    ("a window that nothing disturbs", {"devices": GPU, "trainer": {"globalBatchSize": 12, "window": ALL_OF_IT}}),
    ("a known peak", {"devices": {**GPU, "counts": [1], "peakTeraflops": "312"}, "trainer": {}}),
]


@pytest.mark.parametrize("spec", [row[1] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_the_api_server_accepts_what_the_plan_accepts(
    plane: ControlPlane, dry_run_namespace: str, spec: dict[str, Any]
) -> None:
    document = example_benchmark() | {"spec": spec}
    assert plan(Benchmark.model_validate(document).spec)
    assert refusal(plane, dry_run_namespace, document) == ""


@pytest.mark.parametrize("example", sorted((ROOT / "crds/examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(plane: ControlPlane, dry_run_namespace: str, example: Path) -> None:
    plane.kubectl("apply", "-f", example, "-n", dry_run_namespace, "--dry-run=server")


def test_defaults_are_stored_and_a_new_object_is_in_progress(plane: ControlPlane, namespace: str) -> None:
    minimal = {"devices": {"counts": [1], "resource": "nvidia.com/gpu"}, "trainer": {}}
    apply(plane, example_benchmark() | {"metadata": {"name": "least", "namespace": namespace}, "spec": minimal})
    found = read(plane, namespace, "sdb", "least")
    assert found["status"] == {"observedGeneration": -1, "phase": "Pending"}
    spec = found["spec"]
    assert (spec["repeats"], spec["scaling"], spec["suspend"]) == ({"min": 1}, "Strong", False)
    assert spec["devices"]["perDevice"] == {"cpu": "1", "memory": "4Gi", "sharedMemory": "1Gi"}
    assert spec["trainer"]["ema"] == {"enabled": True, "smoothing": "0.99", "everyBatches": 1, "startBatch": 0}
    assert spec["trainer"]["globalBatchSize"] == 2048
    assert spec["limits"]["totalSeconds"] == 86400
    assert spec["data"] == {}
    assert "sweep" not in spec
    assert "gate" not in spec
    assert spec["projection"] == {}


def test_a_gate_on_cost_needs_a_price(plane: ControlPlane, dry_run_namespace: str) -> None:
    document = changed(example_benchmark(), "spec.gate", {"maxCost": "1"})
    assert refusal(plane, dry_run_namespace, document) == ""
    free = changed(document, "spec.devices.hourlyPrice", None)
    assert "spec.gate.maxCost: Invalid value: set devices.hourlyPrice" in refusal(plane, dry_run_namespace, free)


def test_a_cost_limit_needs_a_price_at_creation_and_when_it_is_edited(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark
) -> None:
    document = changed(example_benchmark(), "spec.limits", {"cost": "10", "deviceHours": "5.5"})
    assert refusal(plane, namespace, document) == ""
    free = changed(document, "spec.devices.hourlyPrice", None)
    assert "spec.limits.cost: Invalid value: set devices.hourlyPrice" in refusal(plane, namespace, free)
    unpriced = changed(free, "spec.limits", {"deviceHours": "5.5"})
    create_benchmark(devices=unpriced["spec"]["devices"], limits={"deviceHours": "5.5"})
    stored = changed(unpriced, "metadata.namespace", namespace)
    later = changed(stored, "spec.limits.cost", "10")
    assert "spec.limits.cost: Invalid value: set devices.hourlyPrice" in refusal(plane, namespace, later)
    assert refusal(plane, namespace, changed(stored, "spec.limits", {"deviceHours": "1"})) == "", "limits may change"


def test_a_full_gate_and_a_staged_projection_are_accepted_and_max_regression_has_a_default(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark
) -> None:
    limits = {"minImagesPerSecond": "1", "minImagesPerSecondPerDevice": "1", "minScalingEfficiency": "0.6"}
    limits |= {"maxCoefficientOfVariation": "0.02", "maxDataWaitRatio": "0.1", "minMfu": "0.3", "maxDays": "30"}
    stages = [OWN_SIZE, OTHER_SIZE | {"benchmark": "small"}, OTHER_SIZE | {"rateRatio": "2.9"}]
    create_benchmark(gate={"devices": [2], **limits, "baseline": {"name": "last"}}, projection={"stages": stages})
    found = read(plane, namespace, "sdb", "tiny")["spec"]
    assert found["gate"]["baseline"] == {"name": "last", "maxRegression": "0.02"}
    assert found["projection"] == {"stages": stages}


EDITS = [
    ("spec.devices.counts", [2, 1]),
    ("spec.trainer.seed", 18),
    ("spec.image", "registry.example/other:1"),
    ("spec.sweep.seed", [1, 2]),
    ("spec.repeats.max", 2),
    ("spec.retries", 0),
    ("spec.data.region", "eu"),
    ("spec.projection.images", 5),
    ("spec.gate", {"maxDays": "1"}),
]


@pytest.mark.parametrize(("path", "value"), EDITS, ids=[path for path, _ in EDITS])
def test_the_spec_cannot_be_edited(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark, path: str, value: Any
) -> None:
    field = ".".join(path.split(".")[:2])
    assert f"{field}: {IMMUTABLE}" in refusal(plane, namespace, changed(create_benchmark(), path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [("spec.suspend", True), ("spec.cancel", True), ("spec.limits.totalSeconds", 5), ("spec.limits.maxDevices", 1)],
)
def test_limits_and_switches_can_be_edited(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark, path: str, value: Any
) -> None:
    assert refusal(plane, namespace, changed(create_benchmark(), path, value)) == ""


def test_a_cancelled_benchmark_stays_cancelled(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark
) -> None:
    document = create_benchmark(cancel=True)
    assert "spec.cancel: Invalid value: one-way" in refusal(plane, namespace, changed(document, "spec.cancel", False))


def test_benchmarks_can_be_selected_by_phase(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark()
    found = read(plane, namespace, "sdb", "--field-selector", "status.phase=Pending")
    assert [one["metadata"]["name"] for one in found["items"]] == ["tiny"]
    assert read(plane, namespace, "sdb", "--field-selector", "status.phase=Failed")["items"] == []


def test_the_columns_have_the_names_that_the_docs_use(
    plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark()
    shown = plane.kubectl("get", "sdb", "-n", namespace, "-o", "wide").splitlines()[0].split()
    assert shown == [
        "NAME",
        "PHASE",
        "REASON",
        "TRIALS",
        "DEVICES",
        "IMG/S",
        "EFF",
        "DAYS",
        "COST",
        "VERDICT",
        "AGE",
        "MFU",
        "CV",
        "SPENT",
    ]


def test_the_api_server_stores_the_spec_that_a_local_run_reads(plane: ControlPlane, namespace: str) -> None:
    document = example_benchmark()
    apply(plane, changed(document, "metadata.namespace", namespace))
    stored = read(plane, namespace, "sdb", "tiny")
    assert Benchmark.model_validate(stored).spec == Benchmark.model_validate(document).spec
