"""Defines `spec` of a StableDiffusionBenchmark, what to measure and how, as frozen types."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from sdbench.api.rule import Rule, SpecPart
from sdbench.api.spec_fields import (
    UNSPACED,
    AnnotationValue,
    Count,
    HttpUrl,
    Key,
    LabelValue,
    ObjectName,
    Seconds,
    Timeout,
)
from sdbench.api.spec_gate import Gate
from sdbench.api.spec_projection import Projection
from sdbench.api.spec_scheduling import ExtendedResource, Scheduling
from sdbench_trainer.config import Boundary, DecimalString, TrainerConfig

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=24)]
"""A Kubernetes quantity, such as 500m or 4Gi."""

ImageReference = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$", min_length=1, max_length=512)
]


class PerDevice(Boundary):
    """Requests and limits of a pod, for each of its devices."""

    cpu: Quantity = Field("1", description="CPU for each device.")
    memory: Quantity = Field("4Gi", description="Memory for each device.")
    shared_memory: Quantity = Field("1Gi", description="Size of /dev/shm for each device; it counts as memory.")


class Devices(Boundary):
    """How many devices are measured, and what a pod needs for each."""

    counts: tuple[Count, ...] = Field(
        min_length=1,
        max_length=64,
        description="Device counts to measure. A count above perPod is a multiple of perPod.",
    )
    per_pod: int = Field(8, ge=1, le=64, description="Most devices in one pod.")
    resource: ExtendedResource | None = Field(
        None, description="Extended resource of a device, such as nvidia.com/gpu. Absent: CPU processes."
    )
    per_device: PerDevice = Field(PerDevice(), description="Requests and limits of the pods, for each device.")
    hourly_price: DecimalString = Field(Decimal("0"), description="Price of one device for one hour, for the cost.")
    peak_teraflops: DecimalString | None = Field(
        None,
        description="Dense peak of one device in TFLOP/s at the run's precision, above 0, for MFU. Absent: as the "
        "trainer's table has it by the device's name.",
    )


class Scaling(StrEnum):
    """What stays the same when devices are added: the global batch, or the batch of a device."""

    STRONG = "Strong"
    WEAK = "Weak"


class Repeats(Boundary):
    """How many Trials each Point gets."""

    min: int = Field(1, ge=1, le=100, description="Trials of each Point.")
    max: int | None = Field(
        None, ge=1, le=100, description="Most Trials of a Point that has not converged after min. Absent: min."
    )
    target_coefficient_of_variation: DecimalString | None = Field(
        None,
        description="A Point has converged, and gets no further Trial, when the standard deviation of "
        "medianImagesPerSecond over its undisturbed repeats is at most this share of their mean, above 0. At least two "
        "repeats are needed.",
    )

    @property
    def most(self) -> int:
        """Trials of a Point that never converges."""
        return self.min if self.max is None else self.max


class Data(SpecPart):
    """Where the shards are. Without remote and claim the images are synthetic."""

    remote: (
        Annotated[str, StringConstraints(pattern=rf"^(s3|gs|azure|oci|hf|file)://{UNSPACED}$", max_length=1024)] | None
    ) = Field(None, description="Folder of MDS shards, such as s3://bucket/shards, without user info.")
    endpoint: HttpUrl | None = Field(None, description="URL of an S3-compatible server.")
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=64)] | None = Field(
        None, description="Region of the bucket."
    )
    credentials_secret: ObjectName | None = Field(
        None, description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, mounted into the pods as files."
    )
    claim: ObjectName | None = Field(None, description="PersistentVolumeClaim with the shards, mounted read-only.")

    RULES = (
        Rule(
            "spec.data:claim",
            "!(has(self.remote) && has(self.claim))",
            "set remote or claim, not both: shards come from one place",
            check=lambda one: not (one.remote and one.claim),
        ),
    )


class Limits(Boundary):
    """How long a Benchmark may take and how much it may use. Times are in seconds."""

    max_devices: int = Field(65_536, ge=1, le=65_536, description="Most devices at once; a larger count is refused.")
    queued_seconds: Seconds = Field(86_400, description="From the job's creation to all of its pods being scheduled.")
    start_seconds: Seconds = Field(1_800, description="From scheduled to all containers running: pulls and mounts.")
    rendezvous_seconds: Timeout = Field(
        600,
        description="From a rank's start to its reaching the master, and from then to all ranks having met; for others "
        "of several pods, which may still be started, startSeconds more.",
    )
    first_step_seconds: Timeout = Field(900, description="From the rendezvous to the first step.")
    stall_seconds: Timeout = Field(600, description="Longest time without a step.")
    total_seconds: Seconds = Field(86_400, description="From the first container running to the end of an Attempt.")
    teardown_seconds: Seconds = Field(300, description="After it, pods still holding devices are named in the status.")
    gang_seconds: Timeout = Field(
        300,
        description="Longest that some pods of an Attempt hold devices while others find no node; it then gives them "
        "back and is tried again later.",
    )
    device_hours: DecimalString | None = Field(
        None, description="Most device-hours that the benchmark itself may cost. Absent: no bound."
    )
    cost: DecimalString | None = Field(
        None, description="The same in money; needs devices.hourlyPrice. Absent: no bound."
    )


class Retention(Boundary):
    """What is kept for inspection after an Attempt, without holding devices."""

    failed_seconds: int = Field(
        3_600,
        ge=0,
        le=604_800,
        description="How long the job of an Attempt that failed, with its pods and their logs, is kept once all of its "
        "pods have ended; of a Benchmark at most eight. Its devices count as free 15 s after that end, and the next "
        "Attempt waits for it. Quotas of objects (count/pods, count/pytorchjobs.kubeflow.org) count what is kept. 0: "
        "deleted as soon as its end is stored.",
    )


class Spec(Boundary):
    """What to measure, and how."""

    image: ImageReference | None = Field(
        None, description="Trainer image. Absent: the operator's default, pinned in status.resolved."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field((), max_length=16, description="Secrets to pull the image with.")
    devices: Devices
    scaling: Scaling = Field(
        Scaling.STRONG,
        description="Strong: globalBatchSize is fixed. Weak: it is the smallest count's and grows with the devices.",
    )
    repeats: Repeats = Field(Repeats(), description="How many Trials each Point gets.")
    parallelism: int = Field(
        1,
        ge=1,
        le=64,
        description="Trials at the same time; Trials that share a host disturb each other's measurements.",
    )
    data: Data = Field(Data(), description="Where the shards are. Empty: synthetic images.")
    trainer: TrainerConfig
    sweep: dict[str, Any] | None = Field(
        None, description="Grid over trainer knobs: the knobs of trainer with lists of values, times the counts."
    )
    projection: Projection = Field(Projection(), description="The full training to which a measurement is extended.")
    gate: Gate | None = Field(None, description="Limits that the measurements must meet; the verdict is a condition.")
    limits: Limits = Field(Limits(), description="How long a Benchmark may take and how much it may use.")
    retries: int = Field(2, ge=0, le=20, description="Further Attempts at a Trial that was interrupted or lost a peer.")
    retention: Retention = Field(Retention(), description="What is kept for inspection after an Attempt.")
    ttl_seconds_after_finished: int | None = Field(
        None,
        ge=0,
        le=315_360_000,
        description="How long after its end the Benchmark deletes itself, with its results. Absent: never.",
    )
    scheduling: Scheduling = Field(
        Scheduling(), description="How the pods wait for devices, and on which nodes they run."
    )
    pod_labels: dict[Key, LabelValue] = Field(
        {}, max_length=32, description="Labels of the pods, for cost allocation; none that is reserved."
    )
    pod_annotations: dict[Key, AnnotationValue] = Field(
        {}, max_length=32, description="Annotations of the pods; keys need a domain that is not reserved."
    )
    suspend: bool = Field(False, description="Stops and voids the running Attempts; others follow on resume.")
    cancel: bool = Field(False, description="Ends the Benchmark for good and keeps what was measured. One-way.")


MUTABLE = frozenset({"limits", "retention", "ttl_seconds_after_finished", "suspend", "cancel"})
"""Fields of the spec that may change; every other defines what is measured."""
