"""Tests the batch that 8 to 512 devices run at 2,048 images, strict and ragged."""

from typing import Any

import pytest

from sdbench.api.spec import Spec
from sdbench.core.plan.grid import PlanRefused, Point, plan
from sdbench_trainer.run import division
from unit.core.worlds import spec

DIVIDES = {
    8: (2048, 256, 64),
    16: (2048, 128, 32),
    32: (2048, 64, 16),
    64: (2048, 32, 8),
    128: (2048, 16, 4),
    256: (2048, 8, 2),
    512: (2048, 4, 1),
}
"""The images of one step, the images of each device, and the number of microbatches, by device count."""

CUT = {
    96: (2016, 21, 6),
    192: (1920, 10, 3),
    320: (1920, 6, 2),
    384: (1920, 5, 2),
    448: (1792, 4, 1),
}
"""The same for device counts over which 2,048 images do not divide."""


def question(*counts: int, **changes: Any) -> Spec:
    trainer = {"globalBatchSize": 2048, "deviceMicrobatchSize": 4, **changes.pop("trainer", {})}
    devices = {"counts": list(counts), "perPod": 8, "resource": "nvidia.com/gpu"}
    return spec(devices=devices, trainer=trainer, **changes)


def ran(point: Point) -> tuple[int, int, int]:
    found = division(point.config, point.devices)
    assert found.run == found.per_device * point.devices
    return found.run, found.per_device, found.microbatches


def points(asked: Spec) -> dict[int, tuple[int, int, int]]:
    return {trial.point.devices: ran(trial.point) for trial in plan(asked)}


def test_strong_scaling_divides_the_batch_exactly() -> None:
    assert points(question(*DIVIDES)) == DIVIDES


@pytest.mark.parametrize(("devices", "cut"), [(devices, row[0]) for devices, row in CUT.items()])
@pytest.mark.parametrize("scaling", ["Strong", "Weak"])
def test_a_count_that_does_not_divide_the_batch_is_rejected_with_a_batch_that_would_run(
    devices: int, cut: int, scaling: str
) -> None:
    with pytest.raises(PlanRefused) as rejection:
        plan(question(devices, scaling=scaling))
    assert rejection.value.path == "spec.trainer.globalBatchSize"
    assert rejection.value.sentence == (
        f"2048 images do not divide over {devices} devices; set allowRaggedBatch to run {cut}"
    )


def test_a_ragged_batch_runs_on_every_count_and_is_cut_only_where_it_does_not_divide() -> None:
    assert points(question(*DIVIDES, *CUT, trainer={"allowRaggedBatch": True})) == DIVIDES | CUT


def test_weak_scaling_keeps_the_batch_of_each_device() -> None:
    counts = (*DIVIDES, *CUT)
    assert points(question(*counts, scaling="Weak")) == {count: (256 * count, 256, 64) for count in counts}


def test_weak_scaling_cuts_a_ragged_batch_at_every_count() -> None:
    found = points(question(96, 192, 384, scaling="Weak", trainer={"allowRaggedBatch": True}))
    assert found == {96: (2016, 21, 6), 192: (4032, 21, 6), 384: (8064, 21, 6)}


def test_a_microbatch_is_at_most_the_batch_of_a_device() -> None:
    asked = question(512, trainer={"deviceMicrobatchSize": 64})
    assert points(asked) == {512: (2048, 4, 1)}
