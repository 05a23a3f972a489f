"""Tests the Trials of a plan, and the messages that reject an invalid plan."""

from decimal import Decimal
from typing import Any

import pytest

from sdbench.api.spec import Spec
from sdbench.core.plan.grid import PlanRefused, plan, trials
from sdbench.core.schedule.actions import run_config
from unit.core.worlds import spec


def labels(asked: Spec) -> list[str]:
    return [trial.point.label for trial in plan(asked)]


def test_counts_ascend_whatever_their_order() -> None:
    assert labels(spec(devices={"counts": [4, 1, 2], "perPod": 1})) == ["devices=1", "devices=2", "devices=4"]


def test_repeats_go_round_robin() -> None:
    made = plan(spec(repeats={"min": 2}))
    assert [(trial.index, trial.point.devices, trial.repeat) for trial in made] == [
        (0, 1, 0),
        (1, 2, 0),
        (2, 1, 1),
        (3, 2, 1),
    ]


def test_a_sweep_is_a_grid_times_the_counts_with_sorted_and_dotted_labels() -> None:
    asked = spec(
        devices={"counts": [8], "perPod": 8},
        trainer={"globalBatchSize": 64},
        sweep={"precision": ["fp32"], "ema": {"enabled": [True, False]}, "deviceMicrobatchSize": [4, 8]},
    )
    assert labels(asked) == [
        "devices=8,deviceMicrobatchSize=4,ema.enabled=true,precision=fp32",
        "devices=8,deviceMicrobatchSize=4,ema.enabled=false,precision=fp32",
        "devices=8,deviceMicrobatchSize=8,ema.enabled=true,precision=fp32",
        "devices=8,deviceMicrobatchSize=8,ema.enabled=false,precision=fp32",
    ]
    first = plan(asked)[0].point
    assert (first.config.device_microbatch_size, first.config.ema.enabled, first.config.precision) == (4, True, "fp32")
    assert first.config.ema.smoothing == asked.trainer.ema.smoothing, "a knob that is not swept keeps its value"
    assert first.knobs == "deviceMicrobatchSize=4,ema.enabled=true,precision=fp32"


@pytest.mark.parametrize(
    ("count", "per_pod", "pods", "each"), [(1, 8, 1, 1), (8, 8, 1, 8), (16, 8, 2, 8), (6, 8, 1, 6), (4, 1, 4, 1)]
)
def test_devices_fill_pods(count: int, per_pod: int, pods: int, each: int) -> None:
    asked = spec(devices={"counts": [count], "perPod": per_pod}, trainer={"globalBatchSize": 96})
    point = plan(asked)[0].point
    assert (point.pods, point.devices_per_pod) == (pods, each)


def test_weak_scaling_grows_the_batch_from_the_smallest_count() -> None:
    asked = spec(scaling="Weak", devices={"counts": [8, 2, 4], "perPod": 8}, trainer={"globalBatchSize": 8})
    assert [trial.point.config.global_batch_size for trial in plan(asked)] == [8, 16, 32]


def test_strong_scaling_keeps_the_batch() -> None:
    assert [trial.point.config.global_batch_size for trial in plan(spec())] == [8, 8]


REJECTED: list[tuple[str, dict[str, Any], str]] = [
    (
        "a batch that does not divide over the devices",
        {"devices": {"counts": [96], "perPod": 8}, "trainer": {"globalBatchSize": 2048, "deviceMicrobatchSize": 4}},
        "spec.trainer.globalBatchSize: 2048 images do not divide over 96 devices; set allowRaggedBatch to run 2016",
    ),
    (
        "a batch of a device that does not divide into microbatches",
        {"devices": {"counts": [2]}, "trainer": {"globalBatchSize": 20, "deviceMicrobatchSize": 4}},
        "spec.trainer.globalBatchSize: 10 images for each of 2 devices do not divide into microbatches of 4; set "
        "allowRaggedBatch to let the last be smaller",
    ),
    (
        "a count that does not fill its pods",
        {"devices": {"counts": [12], "perPod": 8}},
        "spec.devices.counts: a count above perPod must be a multiple of perPod",
    ),
    (
        "a count twice",
        {"devices": {"counts": [1, 2, 1]}},
        "spec.devices.counts: write each count once: repeats sets how often it is measured",
    ),
    (
        "a count above the limit",
        {"devices": {"counts": [1, 16]}, "limits": {"maxDevices": 8}},
        "spec.devices.counts: 16 devices are more than limits.maxDevices, 8",
    ),
    ("an unknown knob", {"sweep": {"speed": [1]}}, "spec.sweep.speed: Extra inputs are not permitted, not 1"),
    (
        "a value out of bounds",
        {"sweep": {"deviceMicrobatchSize": [2, 0]}},
        "spec.sweep.deviceMicrobatchSize: Input should be greater than or equal to 1, not 0",
    ),
    (
        "a nested value of a wrong type",
        {"sweep": {"ema": {"enabled": ["perhaps"]}}},
        "spec.sweep.ema.enabled: Input should be a valid boolean, unable to interpret input, not 'perhaps'",
    ),
    (
        "fields of a knob that has none",
        {"sweep": {"seed": {"inner": [1]}}},
        "spec.sweep.seed.inner: seed has no fields of its own",
    ),
    (
        "a value instead of a list",
        {"sweep": {"seed": 3}},
        "spec.sweep.seed: write a list of at least one value to try",
    ),
    ("an empty list", {"sweep": {"seed": []}}, "spec.sweep.seed: write a list of at least one value to try"),
    (
        "one configuration twice",
        {"devices": {"counts": [1]}, "sweep": {"learningRate": ["0.1", "0.1"]}},
        "spec.sweep: devices=1,learningRate=0.1 and devices=1,learningRate=0.1 are the same configuration",
    ),
    (
        "a batch of less than one image for a device",
        {"devices": {"counts": [4], "perPod": 8}, "trainer": {"globalBatchSize": 3, "allowRaggedBatch": True}},
        "spec.trainer.globalBatchSize: 3 images are less than one for each of 4 devices",
    ),
    (
        "a batch that divides in some cells only",
        {"devices": {"counts": [3]}, "sweep": {"allowRaggedBatch": [True, False]}},
        "spec.trainer.globalBatchSize: 8 images do not divide over 3 devices; set allowRaggedBatch to run 6",
    ),
    (
        "a swept batch that does not divide",
        {"devices": {"counts": [3]}, "sweep": {"globalBatchSize": [6, 8]}},
        "spec.sweep.globalBatchSize: 8 images do not divide over 3 devices; set allowRaggedBatch to run 6",
    ),
    (
        "half precision on CPUs",
        {"trainer": {"precision": "amp_fp16"}},
        "spec.trainer.precision: amp_fp16 needs an accelerator; a run on CPUs trains with fp32; for GPUs "
        "name devices.resource",
    ),
    (
        "half precision on CPUs in one cell",
        {"sweep": {"precision": ["fp32", "amp_fp16"]}},
        "spec.sweep.precision: amp_fp16 needs an accelerator; a run on CPUs trains with fp32; for GPUs "
        "name devices.resource",
    ),
    (
        "shards that cannot be divided among the pods",
        {"devices": {"counts": [1, 4], "perPod": 1}, "trainer": {"loader": {"canonicalNodes": 6}}},
        "spec.trainer.loader.canonicalNodes: 6 is neither a multiple nor a divisor of the 4 pods; take 4",
    ),
    (
        "shards that cannot be divided among the pods in one cell",
        {"devices": {"counts": [4], "perPod": 1}, "sweep": {"loader": {"canonicalNodes": [8, 6]}}},
        "spec.sweep.loader.canonicalNodes: 6 is neither a multiple nor a divisor of the 4 pods; take 4",
    ),
    (
        "xformers on CPUs",
        {"trainer": {"attention": "xformers"}},
        "spec.trainer.attention: xformers needs an NVIDIA GPU; a run on CPUs uses sdpa; for GPUs name devices.resource",
    ),
    (
        "an automatic microbatch on CPUs",
        {"sweep": {"automaticMicrobatch": [True]}},
        "spec.sweep.automaticMicrobatch: only a GPU's memory can be tried; set deviceMicrobatchSize; for GPUs name "
        "devices.resource",
    ),
    (
        "a peak of zero",
        {"devices": {"counts": [1], "peakTeraflops": "0.0"}},
        "spec.devices.peakTeraflops: must be above 0; leave it out where it is unknown",
    ),
    (
        "a maximum of repeats below the minimum",
        {"repeats": {"min": 3, "max": 2}},
        "spec.repeats.max: must be at least min",
    ),
    (
        "a maximum of repeats above the minimum, without a target",
        {"repeats": {"min": 3, "max": 5}},
        "spec.repeats.targetCoefficientOfVariation: set it when max is above min: it says when fewer repeats are "
        "enough",
    ),
    (
        "a target of zero",
        {"repeats": {"min": 3, "max": 5, "targetCoefficientOfVariation": "0.0"}},
        "spec.repeats.targetCoefficientOfVariation: must be above 0, as in 0.02",
    ),
    (
        "a plan that is too large with the maximum of repeats",
        {"repeats": {"min": 1, "max": 100, "targetCoefficientOfVariation": "0.02"}, "sweep": {"seed": [1, 2, 3]}},
        "spec: 600 trials are more than 512; take fewer counts, values or repeats",
    ),
    (
        "a plan that is too large",
        {"repeats": {"min": 100}, "sweep": {"seed": [1, 2, 3]}},
        "spec: 600 trials are more than 512; take fewer counts, values or repeats",
    ),
    (
        "a weak batch that does not divide at the smallest count",
        {"scaling": "Weak", "devices": {"counts": [2, 3], "perPod": 8}, "trainer": {"globalBatchSize": 5}},
        "spec.trainer.globalBatchSize: 5 images do not divide over 2 devices; set allowRaggedBatch to run 4",
    ),
    (
        "a weak batch that grows too large",
        {"scaling": "Weak", "devices": {"counts": [1, 1024]}, "trainer": {"globalBatchSize": 4096}},
        "spec.trainer.globalBatchSize: 4194304 images for 1024 devices are more than the trainer takes",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
def test_an_invalid_plan_is_rejected_with_this_message(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlanRefused) as rejection:
        plan(spec(**changes))
    assert str(rejection.value) == sentence


def test_a_label_that_is_too_long_is_rejected() -> None:
    long = {"window": {"batches": [4], "warmupBatches": [1], "warmupSeconds": [0]}, "loader": {"workers": [1]}}
    more = {"learningRate": ["0.0001"], "captionDropout": ["0.10"], "imageSize": [64]}
    with pytest.raises(PlanRefused, match="longer than 128 characters"):
        plan(spec(sweep={**long, **more}))


def test_a_peak_from_the_spec_reaches_the_trainer() -> None:
    asked = spec(devices={"counts": [1], "peakTeraflops": "312.5"})
    assert run_config("any", plan(asked)[0], asked).peak_teraflops == Decimal("312.5")
    assert run_config("any", plan(spec())[0], spec()).peak_teraflops is None


def test_limits_that_change_later_do_not_change_the_plan() -> None:
    assert trials(spec(limits={"maxDevices": 1})) == plan(spec())


def test_the_largest_plan_is_accepted() -> None:
    assert len(plan(spec(repeats={"min": 64}, sweep={"seed": [1, 2, 3, 4]}))) == 512
