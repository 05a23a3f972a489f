"""Defines `status` of a StableDiffusionBenchmark, its results, as frozen types."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, PlainSerializer

from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.spec_scheduling import Preset
from sdbench.api.status_gate import GateRow, Verdict
from sdbench.api.status_model import StatusModel
from sdbench.api.workload import Workload
from sdbench_trainer.config import DecimalString
from sdbench_trainer.report import EnvironmentFields, MeasurementFields

Time = Annotated[
    datetime, PlainSerializer(lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str, when_used="json")
]
"""A time in UTC with whole seconds, as metav1.Time writes it."""


class Phase(StrEnum):
    """The phase of a Benchmark, derived for people; no decision depends on it."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class TrialPhase(StrEnum):
    """The phase of a Trial's row.

    Pending ─► Starting ─► Running ─► Succeeded
      ▲  │         │           ├────► Failed
      │  └► Skipped│           │      (Skipped: the Point has converged without it)
      └─ released ─┴─ Stopping ◄┘     (Stopping: the Attempt is void; another follows when its devices are free)
    """

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """The conditions of a Benchmark; core/status/conditions.py says when each is there."""

    ACCEPTED = "Accepted"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"
    GATE_PASSED = "GatePassed"
    CLEANED_UP = "CleanedUp"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


# A Benchmark has ended once one of these is True.
ENDS = (ConditionType.FAILED, ConditionType.COMPLETE)


class Condition(StatusModel):
    """A metav1.Condition."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str = Field("", max_length=1024)
    last_transition_time: Time
    observed_generation: int


class RowMeasurement(MeasurementFields[DecimalString, str], StatusModel):
    """What a Trial measured, as decimal strings."""

    step_seconds_p5: DecimalString
    step_seconds_p50: DecimalString
    step_seconds_p95: DecimalString
    microbatches: int | None = Field(None, description="In one step, as it was run; absent if the Report lacks it.")


class TrialRow(StatusModel):
    """One Trial. A Succeeded, Failed or Skipped row never changes but for `releasedAt`."""

    trial: int = Field(description="Index in the plan, from 0.")
    point: str
    devices: int
    repeat: int = Field(description="Index among the repeats of its Point, from 0.")
    phase: TrialPhase = TrialPhase.PENDING
    attempt: int = Field(0, description="Number of the current or last Attempt, from 1; 0: none yet.")
    failures: int = Field(0, description="Attempts that count against `retries`.")
    job: str | None = Field(None, description="Name of the current or last Attempt and its PyTorchJob.")
    job_uid: str | None = Field(None, alias="jobUID")
    reason: Reason | None = None
    scope: Scope | None = Field(
        None,
        description="How far the cause of a Failed row reaches: whether its Point or the whole sweep ends with it.",
    )
    message: str = Field("", max_length=512)
    not_before: Time | None = Field(None, description="A Trial that gave its devices back is not tried earlier.")
    waiting_since: Time | None = Field(None, description="Since when it has waited to be scheduled, over Attempts.")
    queued_at: Time | None = Field(None, description="The Attempt was decided.")
    scheduled_at: Time | None = Field(None, description="Its last pod was bound to a node.")
    started_at: Time | None = Field(None, description="Its last container ran.")
    measured_at: Time | None = Field(None, description="Its result was stored.")
    ended_at: Time | None = Field(None, description="The Attempt was first seen to end, well or not, or was given up.")
    released_at: Time | None = Field(None, description="None of its pods held a device any more.")
    measurement: RowMeasurement | None = None
    environment: int | None = Field(None, description="Index in `environments`.")
    pods_checksum: str | None = Field(
        None, description="CRC-32 of the UIDs of its pods, once all exist; another set is an interruption."
    )


class PointRow(StatusModel):
    """One Point over its repeats."""

    point: str
    devices: int
    repeats: int = Field(description="Repeats with a Measurement.")
    images_per_second: DecimalString = Field(description="Mean over the repeats.")
    median_images_per_second: DecimalString
    standard_deviation: DecimalString | None = Field(
        None, description="Standard deviation of imagesPerSecond, with two repeats or more."
    )
    coefficient_of_variation: DecimalString | None = None
    interval_low: DecimalString | None = Field(None, description="95 % t-interval of the mean.")
    interval_high: DecimalString | None = None
    median_standard_deviation: DecimalString | None = Field(
        None, description="Standard deviation of medianImagesPerSecond."
    )
    median_coefficient_of_variation: DecimalString | None = None
    disturbed_repeats: int = Field(0, description="Repeats whose window other processes disturbed.")
    mixed: str | None = Field(None, description="What differs between the repeats, such as device or image.")
    images_per_second_per_device: DecimalString
    scaling_efficiency: DecimalString = Field(description="Per-device rate over that of the smallest count.")
    step_seconds_p50: DecimalString = Field(description="Mean over the repeats of their median step.")
    drift_ratio: str = Field(description="The repeats' driftRatio of the largest magnitude.")
    rank_skew_ratio_max: DecimalString
    data_wait_ratio_max: DecimalString
    mfu_ratio: DecimalString | None = None
    host_memory_peak_bytes: int
    device_memory_peak_bytes: int | None = None
    replaced_samples: int = Field(0, description="Unreadable samples in all repeats, each replaced by another.")
    requested_global_batch_size: int = Field(description="Images in one step as asked; under Weak scaling, as grown.")
    global_batch_size: int = Field(description="Images in one step as run: perDevice x devices.")
    per_device: int = Field(description="Images in one step on each device.")
    device_microbatch_size: int
    microbatches: int = Field(description="In one step; the last may be smaller where a ragged batch is allowed.")
    days: DecimalString | None = Field(None, description="Length of the projected training; absent where unknown.")
    device_hours: DecimalString | None = None
    cost: DecimalString | None = None
    projection_message: str | None = Field(
        None, max_length=512, description="Why days, deviceHours and cost are absent."
    )


class EnvironmentRow(EnvironmentFields[DecimalString], StatusModel):
    """The environment in which Trials ran; equal ones are stored once."""

    image_id: str


class ScalingFitRow(StatusModel):
    """step = secondsPerImage x images per device + constantSeconds, fitted to Points that differ in scale only.

    No further device shortens the constant, so it bounds how far the training scales.
    """

    parameters: str = Field(
        description="What a sweep varies beside the scale, as in the Points' labels; empty without one."
    )
    counts: tuple[int, ...] = Field(description="Device counts of the Points, three or more.")
    seconds_per_image: str = Field(description="Seconds of a step for each image on a device; may be negative.")
    constant_seconds: str = Field(description="Seconds of a step however few images a device has; may be negative.")
    residual_seconds: DecimalString = Field(description="Root mean square of what the fit misses, in seconds.")
    residual_ratio: DecimalString = Field(description="The same, each miss as a share of its step.")


class Plan(StatusModel):
    """The size and the cost of the plan, known before it starts."""

    trials: int
    largest_devices: int
    points: int
    least_device_hours: DecimalString | None = Field(
        None, description="Warm-ups alone, of the repeats that are measured in any case."
    )
    most_device_hours: DecimalString | None = Field(
        None, description="If each Attempt lasted limits.totalSeconds and each Trial took all of its retries."
    )


class Summary(StatusModel):
    """The line of `kubectl get`, for the largest measured count."""

    trials: str = Field(description="Ended of planned, as in 18/54.")
    reason: str = Field("", description="Why the Benchmark waits, or what failed; empty when all is well.")
    devices: int | None = None
    images_per_second: str | None = None
    scaling_efficiency: str | None = None
    days: str | None = None
    cost: str | None = None
    verdict: Verdict | None = Field(None, description="Verdict of the gate, once the Benchmark has ended.")
    mfu: str | None = None
    coefficient_of_variation: str | None = None
    spent_device_hours: str = "0.00"
    spent_cost: str = Field("0.00", description="Cost of the benchmark itself: spentDeviceHours x hourlyPrice.")


class Resolved(StatusModel):
    """What was pinned when the Benchmark was accepted, so that an upgrade does not change a running sweep."""

    image: str
    operator_version: str
    preset: Preset | None = Field(None, description="What spec.scheduling.preset named, as it was then.")
    workload: Workload | None = Field(None, description="What the administrator fixed in every pod, as it was then.")


class Status(StatusModel):
    """The state of a Benchmark: the rows of its Trials, and what follows from them."""

    observed_generation: int = -1
    phase: Phase = Phase.PENDING
    resolved: Resolved | None = None
    plan: Plan | None = None
    summary: Summary | None = None
    trials: tuple[TrialRow, ...] = ()
    points: tuple[PointRow, ...] = ()
    scaling_fits: tuple[ScalingFitRow, ...] = ()
    environments: tuple[EnvironmentRow, ...] = ()
    gate: GateRow | None = None
    spent_device_seconds: int = Field(0, description="Device-seconds from scheduled to released, over all Attempts.")
    spent_cost: DecimalString = Field(Decimal("0"), description="The same in device-hours x hourlyPrice.")
    conditions: tuple[Condition, ...] = ()

    def true_condition(self, type: ConditionType) -> Condition | None:
        """The condition of this type if it is True."""
        return next((one for one in self.conditions if one.type is type and one.status is ConditionStatus.TRUE), None)

    @property
    def end(self) -> Condition | None:
        """The condition with which the Benchmark has ended; None while it goes on. A refused Benchmark has ended."""
        return next((found for type in ENDS if (found := self.true_condition(type)) is not None), None)
