"""Which questions can be put to one training run? Every knob once, with unit, bounds, default and sentence.

`TrainerConfig` is `spec.trainer` of a Benchmark. `RunConfig` is everything that one Attempt is told, and travels
as one JSON value in the environment variable `RUN_VARIABLE`.
"""

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

RUN_VARIABLE = "SDBENCH_RUN"
"""Environment variable that holds the RunConfig as JSON."""

METRICS_PORT = 9464
"""TCP port on which rank 0 serves /metrics in a pod."""

CREDENTIALS_FOLDER = "/etc/sdbench/credentials"
"""Where the Secret named by `spec.data.credentialsSecret` is mounted, a file for each key."""

SHARDS_FOLDER = "/var/lib/sdbench/shards"
"""Where the claim named by `spec.data.claim` is mounted."""

DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?$"


DECIMAL_LIMIT = 24
"""Longest decimal string."""


def _decimal(value: Any) -> Decimal:
    """Refuse numbers: 0.1 as a JSON number has already lost its decimal meaning."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and len(value) <= DECIMAL_LIMIT and re.fullmatch(DECIMAL_PATTERN, value):
        return Decimal(value)
    example = value if isinstance(value, int | float) and value >= 0 else "0.25"
    raise ValueError(f'write it as a decimal string, as in "{example}"')


DecimalString = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_LIMIT}),
]
"""A number that travels as a decimal string, because the Kubernetes API has no floats."""


class Boundary(BaseModel):
    """A frozen document with camelCase names that refuses fields it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def document(self) -> dict[str, Any]:
        """Itself as JSON-ready values, without the fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Model(StrEnum):
    """Which Stable Diffusion is trained."""

    SD2_BASE = "sd2-base"
    TINY = "tiny"


class Precision(StrEnum):
    """Number format of the forward and backward pass."""

    FP32 = "fp32"
    AMP_FP16 = "amp_fp16"
    AMP_BF16 = "amp_bf16"


class Ema(Boundary):
    """Exponential moving average of the UNet's weights."""

    enabled: bool = Field(True, description="Whether an average is kept; it costs one pass over the weights a step.")
    smoothing: DecimalString = Field(
        Decimal("0.99"), description="Weight of the old average in each update, at least 0 and below 1."
    )

    @model_validator(mode="after")
    def _smoothing_is_a_weight(self) -> "Ema":
        if not 0 <= self.smoothing < 1:
            raise ValueError("ema.smoothing must be at least 0 and below 1")
        return self


class Window(Boundary):
    """Which part of the run is measured."""

    warmup_batches: int = Field(20, ge=1, le=100_000, description="Batches trained before the window may open.")
    warmup_seconds: int = Field(
        0, ge=0, le=86_400, description="Seconds of training before the window may open, beside warmupBatches."
    )
    batches: int = Field(100, ge=2, le=1_000_000, description="Batches that are measured.")


class Loader(Boundary):
    """How images reach the device."""

    workers: int = Field(0, ge=0, le=64, description="Loader processes for each rank; 0 loads in the rank itself.")
    prefetch_batches: int = Field(2, ge=1, le=64, description="Batches that each loader process prepares ahead.")


class TrainerConfig(Boundary):
    """How a Stable Diffusion is trained: the knobs of `spec.trainer`."""

    model: Model = Field(Model.SD2_BASE, description="sd2-base, or tiny (the same parts, trained in seconds on a CPU).")
    image_size: int = Field(
        512, ge=32, le=1024, multiple_of=32, description="Side of the square training images in pixels."
    )
    global_batch_size: int = Field(
        2048, ge=1, le=1_048_576, description="Images in one optimiser step, over all devices."
    )
    device_microbatch_size: int = Field(
        4, ge=1, le=65_536, description="Images that one device takes through the UNet at once."
    )
    precision: Precision = Field(Precision.AMP_FP16, description="Number format of the forward and backward pass.")
    learning_rate: DecimalString = Field(Decimal("0.0001"), description="Learning rate of AdamW, constant.")
    caption_dropout: DecimalString = Field(
        Decimal("0.1"), description="Share of captions replaced by the empty one, at least 0 and at most 1."
    )
    ema: Ema = Field(Ema(), description="Exponential moving average of the UNet's weights.")
    window: Window = Field(Window(), description="Which part of the run is measured.")
    loader: Loader = Field(Loader(), description="How images reach the device.")
    seed: int = Field(17, ge=0, le=2**31 - 1, description="Seed of weights, order, noise and timesteps.")

    @model_validator(mode="after")
    def _dropout_is_a_share(self) -> "TrainerConfig":
        if not 0 <= self.caption_dropout <= 1:
            raise ValueError("captionDropout must be at least 0 and at most 1")
        return self


class Source(Boundary):
    """Where one run's shards are; without remote and local the images are synthetic."""

    remote: str | None = None
    local: str | None = None
    endpoint: str | None = None
    region: str | None = None


class Watchdog(Boundary):
    """How long a pod's PID 1 waits, in seconds, before it calls the run dead."""

    rendezvous_seconds: int = Field(600, ge=5)
    first_step_seconds: int = Field(900, ge=5)
    stall_seconds: int = Field(600, ge=5)


class RunConfig(Boundary):
    """Everything that one Attempt is told."""

    attempt: str
    devices: int = Field(ge=1)
    accelerator: bool = False
    source: Source = Source()
    watchdog: Watchdog = Watchdog()
    trainer: TrainerConfig

    @model_validator(mode="after")
    def _batch_divides(self) -> "RunConfig":
        size, devices = self.trainer.global_batch_size, self.devices
        if size % devices:
            raise ValueError(f"globalBatchSize {size} does not divide over {devices} devices")
        per_device = size // devices
        micro = min(self.trainer.device_microbatch_size, per_device)
        if per_device % micro:
            raise ValueError(
                f"{per_device} images for each of {devices} devices do not divide into microbatches of {micro}"
            )
        return self
