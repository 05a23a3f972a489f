"""Defines `status.gate`, the Verdict and the findings behind it, as frozen types."""

from enum import StrEnum

from pydantic import Field

from sdbench.api.status_model import StatusModel
from sdbench_trainer.config import DecimalString


class Verdict(StrEnum):
    """The judgement of a gate, and of each of its findings; it does not say whether the run succeeded."""

    PASS = "Pass"
    FAIL = "Fail"
    INSUFFICIENT_DATA = "InsufficientData"


class Limit(StrEnum):
    """What a gate limits."""

    IMAGES_PER_SECOND = "ImagesPerSecond"
    IMAGES_PER_SECOND_PER_DEVICE = "ImagesPerSecondPerDevice"
    SCALING_EFFICIENCY = "ScalingEfficiency"
    COEFFICIENT_OF_VARIATION = "CoefficientOfVariation"
    DATA_WAIT_RATIO = "DataWaitRatio"
    MFU = "Mfu"
    DAYS = "Days"
    COST = "Cost"
    REGRESSION = "Regression"


class FindingRow(StatusModel):
    """One limit at one Point."""

    limit: Limit
    point: str
    verdict: Verdict
    value: str | None = Field(None, description="What was measured; absent where it is missing.")
    bound: str = Field(description="What the gate asks for.")
    message: str = Field("", max_length=512, description="Value and bound in a sentence, or what is missing.")


class ComparisonRow(StatusModel):
    """One Point beside the same Point of the baseline, both by median images/s over their repeats."""

    point: str
    repeats: int
    images_per_second: DecimalString
    coefficient_of_variation: DecimalString
    baseline_repeats: int
    baseline_images_per_second: DecimalString
    baseline_coefficient_of_variation: DecimalString
    regression: str = Field(description="(baseline - this) / baseline; below 0: faster.")
    regression_low: str = Field(description="Ends of its 95 % interval after Welch.")
    regression_high: str


class BaselineRow(StatusModel):
    """The Benchmark that the gate compared this one with."""

    name: str
    uid: str
    points: tuple[ComparisonRow, ...] = Field((), description="The first 16 comparisons.")


class GateRow(StatusModel):
    """The Verdict, which is given once, when the Benchmark ends."""

    verdict: Verdict
    message: str = Field("", max_length=1024)
    passed: int = Field(0, description="Findings that passed.")
    failed: int = 0
    insufficient: int = Field(0, description="Findings for which something is missing.")
    findings: tuple[FindingRow, ...] = Field(
        (), description="The findings that did not pass, failures first; 16 at most."
    )
    baseline: BaselineRow | None = None
