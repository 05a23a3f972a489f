"""Defines `spec.gate`, the limits that a Benchmark must meet, as frozen types."""

from decimal import Decimal

from pydantic import Field

from sdbench.api.rule import Rule, SpecPart
from sdbench.api.spec_fields import BenchmarkName, Count
from sdbench_trainer.config import SHARE, DecimalString


class Baseline(SpecPart):
    """Another Benchmark, which this one is compared with."""

    name: BenchmarkName = Field(
        description="Benchmark of this namespace whose Points have the same labels, model, image size and batch."
    )
    max_regression: DecimalString = Field(
        Decimal("0.02"),
        description='Largest loss of median images/s that passes, as a share of the baseline\'s: "0.02" is 2 %.',
    )

    RULES = (
        Rule(
            "spec.gate.baseline:maxRegression",
            "double(self.maxRegression) < 1.0",
            'must be below 1: "0.02" is 2 %',
            check=lambda one: one.max_regression < 1,
        ),
    )


class Gate(SpecPart):
    """Limits for every judged Point. A Point for which a value is missing never passes."""

    devices: tuple[Count, ...] | None = Field(
        None, min_length=1, max_length=64, description="Device counts that are judged. Absent: all."
    )
    min_images_per_second: DecimalString | None = Field(None, description="Least median images/s of all devices.")
    min_images_per_second_per_device: DecimalString | None = Field(
        None, description="Least median images/s of one device."
    )
    min_scaling_efficiency: DecimalString | None = Field(
        None, description='Least scaling efficiency: "0.60" is 60 % of the smallest count\'s rate per device.'
    )
    max_coefficient_of_variation: DecimalString | None = Field(
        None, description="Largest standard deviation of median images/s over the repeats, over their mean."
    )
    max_data_wait_ratio: DecimalString | None = Field(
        None, description="Largest share of the window, 0 to 1, that the worst rank waits for data."
    )
    min_mfu: DecimalString | None = Field(None, description="Least model FLOPs utilisation, 0 to 1.")
    max_days: DecimalString | None = Field(None, description="Most days of the projected training.")
    max_cost: DecimalString | None = Field(
        None, description="Highest cost of the projected training; needs devices.hourlyPrice."
    )
    baseline: Baseline | None = Field(None, description="Another Benchmark; the gate fails if this one is slower.")


# `devices` alone limits nothing: it only selects the Points that the limits judge.
_LIMITS = tuple(field.alias for name, field in Gate.model_fields.items() if name != "devices")

Gate.RULES = (
    Rule(
        "spec.gate",
        " || ".join(f"has(self.{limit})" for limit in _LIMITS),
        "write at least one limit",
        check=lambda one: bool(one.model_dump(exclude={"devices"}, exclude_none=True)),
    ),
    Rule(
        "spec.gate:maxDataWaitRatio",
        "!has(self.maxDataWaitRatio) || double(self.maxDataWaitRatio) <= 1.0",
        SHARE,
        check=lambda one: (one.max_data_wait_ratio or 0) <= 1,
    ),
    Rule(
        "spec.gate:minMfu",
        "!has(self.minMfu) || double(self.minMfu) <= 1.0",
        SHARE,
        check=lambda one: (one.min_mfu or 0) <= 1,
    ),
)
