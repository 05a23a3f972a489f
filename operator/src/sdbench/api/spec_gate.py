"""Defines `spec.gate`, the limits that a Benchmark must meet, as frozen types."""

from decimal import Decimal

from pydantic import Field, model_validator

from sdbench.api.spec_fields import BenchmarkName, Count
from sdbench_trainer.config import Boundary, DecimalString


class Baseline(Boundary):
    """Another Benchmark, than which this one must not be slower."""

    name: BenchmarkName = Field(
        description="Benchmark of this namespace whose Points have the same labels, model, image size and batch."
    )
    max_regression: DecimalString = Field(
        Decimal("0.02"),
        description='Largest loss of median images/s that passes, as a share of the baseline\'s: "0.02" is 2 %.',
    )

    @model_validator(mode="after")
    def _below_one(self) -> "Baseline":
        if self.max_regression >= 1:
            raise ValueError('maxRegression must be below 1: "0.02" is 2 %')
        return self


class Gate(Boundary):
    """Limits that hold for every judged Point; whatever is missing never passes."""

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
    baseline: Baseline | None = Field(None, description="Another Benchmark, than which this one must not be slower.")

    @model_validator(mode="after")
    def _something_is_asked(self) -> "Gate":
        if not self.model_dump(exclude={"devices"}, exclude_none=True):
            raise ValueError("write at least one limit")
        if (self.max_data_wait_ratio or 0) > 1:
            raise ValueError("maxDataWaitRatio is a share: at most 1")
        if (self.min_mfu or 0) > 1:
            raise ValueError("minMfu is a share: at most 1")
        return self
