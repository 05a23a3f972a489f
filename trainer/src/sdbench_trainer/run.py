"""Defines the configuration of one Attempt, the division of its batch, and the settings that are not supported."""

from dataclasses import dataclass

from pydantic import Field, model_validator

from sdbench_trainer.config import Attention, Boundary, DataParallel, DecimalString, Precision, TrainerConfig

RUN_VARIABLE = "SDBENCH_RUN"
"""Environment variable that holds the RunConfig as JSON."""

START_VARIABLE = "SDBENCH_START_SECONDS"
"""Environment variable of a pod that is one of several: how many seconds the others may take to start.

It is not a field of RunConfig, because an older trainer, pinned at acceptance, would refuse the field.
"""

SCRATCH_VARIABLE = "SDBENCH_SCRATCH"
"""Environment variable with the folder that PID 1 and its ranks share."""

HEARTBEATS_FILE = "beats"
"""The file in that folder through which the ranks show their progress."""

OUTCOME_FILE = "outcome-{}.json"
"""The file in that folder in which a rank, by its local rank, leaves its Report."""

METRICS_PORT = 9464
"""TCP port on which rank 0 serves /metrics in a pod."""

CREDENTIALS_FOLDER = "/etc/sdbench/credentials"
"""Where the Secret of `spec.data.credentialsSecret` is mounted, with a file for each key."""

SHARDS_FOLDER = "/var/lib/sdbench/shards"
"""Where the claim of `spec.data.claim` is mounted."""

STALL_FLOOR_SECONDS = 60
"""Shortest time after which a step counts as stalled, however short the steps are; `stallSeconds` may set less."""


class DataSource(Boundary):
    """Where the shards of a run are; without remote and local the images are synthetic."""

    remote: str | None = None
    local: str | None = None
    endpoint: str | None = None
    region: str | None = None


class Watchdog(Boundary):
    """How long PID 1 of a pod waits, in seconds, before it gives up the run."""

    rendezvous_seconds: int = Field(600, ge=5)
    first_step_seconds: int = Field(900, ge=5)
    stall_seconds: int = Field(600, ge=5)


class RunConfig(Boundary):
    """The configuration of one Attempt."""

    attempt: str
    devices: int = Field(ge=1)
    accelerator: bool = False
    source: DataSource = DataSource()
    watchdog: Watchdog = Watchdog()
    peak_teraflops: DecimalString | None = None
    """Dense peak of one device at the run's precision; None takes it from the trainer's table."""
    trainer: TrainerConfig

    @model_validator(mode="after")
    def _can_be_run(self) -> "RunConfig":
        division(self.trainer, self.devices)
        unfit = unsupported_together(self.trainer) or (None if self.accelerator else unsupported_for_cpu(self.trainer))
        if unfit is not None:
            raise ValueError(f"trainer.{unfit.field}: {unfit.sentence}")
        return self


@dataclass(frozen=True)
class Division:
    """How a global batch is divided over devices and microbatches; sizes in images."""

    asked: int
    run: int
    """per_device x devices; less than requested if a ragged batch was cut."""
    per_device: int
    microbatch: int
    microbatches: int
    """Number of microbatches in one step; the last may be smaller if a ragged batch is allowed."""


def division(config: TrainerConfig, devices: int) -> Division:
    """How the run divides its global batch. Raises ValueError if it does not divide as the settings demand."""
    asked, ragged = config.global_batch_size, config.allow_ragged_batch
    per_device, rest = divmod(asked, devices)
    if not per_device:
        raise ValueError(f"{asked} images are less than one for each of {devices} devices")
    if rest and not ragged:
        raise ValueError(
            f"{asked} images do not divide over {devices} devices; set allowRaggedBatch to run {per_device * devices}"
        )
    # On many devices the share of one may be smaller than a microbatch, which is then the whole share.
    microbatch = min(config.device_microbatch_size, per_device)
    if per_device % microbatch and not ragged and not config.automatic_microbatch:
        raise ValueError(
            f"{per_device} images for each of {devices} devices do not divide into microbatches of {microbatch}; "
            "set allowRaggedBatch to let the last be smaller"
        )
    return Division(asked, per_device * devices, per_device, microbatch, -(-per_device // microbatch))


@dataclass(frozen=True)
class Unsupported:
    """A setting that is not supported: its dotted name in spec.trainer, and why."""

    field: str
    sentence: str


def unsupported_together(config: TrainerConfig) -> Unsupported | None:
    """The first setting that no device supports together with another."""
    if config.data_parallel is not DataParallel.FSDP2:
        return None
    if config.automatic_microbatch:
        return Unsupported("automaticMicrobatch", "Composer tries microbatches with ddp only; set deviceMicrobatchSize")
    if config.channels_last:
        return Unsupported("channelsLast", "FSDP2 shards weights of the usual layout only; use ddp, or leave it off")
    return None


def unsupported_for_pods(config: TrainerConfig, pods: int) -> Unsupported | None:
    """The first setting that does not fit this number of pods."""
    asked = config.loader.canonical_nodes
    if asked is None or asked % pods == 0 or pods % asked == 0:
        return None
    return Unsupported(
        "loader.canonicalNodes", f"{asked} is neither a multiple nor a divisor of the {pods} pods; take {pods}"
    )


def unsupported_for_cpu(config: TrainerConfig) -> Unsupported | None:
    """The first setting that needs an accelerator."""
    if config.precision is not Precision.FP32:
        return Unsupported("precision", f"{config.precision} needs an accelerator; a run on CPUs trains with fp32")
    if config.attention is Attention.XFORMERS:
        return Unsupported("attention", "xformers needs an NVIDIA GPU; a run on CPUs uses sdpa")
    if config.automatic_microbatch:
        return Unsupported("automaticMicrobatch", "only a GPU's memory can be tried; set deviceMicrobatchSize")
    return None
