"""Defines the settings in `spec.trainer` of a Benchmark, with their bounds, defaults and descriptions."""

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?$"
DECIMAL_LIMIT = 24
"""Most characters of a decimal string."""

SHARE = "must be at least 0 and at most 1"
WEIGHT = "must be at least 0 and below 1"
"""What the API server and the trainer both answer to such a value that is out of bounds."""


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    # A JSON number is refused: 0.1 was rounded to a binary fraction when it was parsed.
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
"""A number that is written as a decimal string, because the Kubernetes API has no floats."""


class Boundary(BaseModel):
    """A frozen document with camelCase names that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def document(self) -> dict[str, Any]:
        """The document as JSON-ready values, without the fields that are None."""
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


class FrozenPrecision(StrEnum):
    """Number format of the VAE and the text encoder."""

    MATCHING = "matching"
    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


class Attention(StrEnum):
    """Which implementation of attention the UNet uses."""

    SDPA = "sdpa"
    XFORMERS = "xformers"


class DataParallel(StrEnum):
    """How the devices train one model together."""

    DDP = "ddp"
    FSDP2 = "fsdp2"


class Optimizer(StrEnum):
    """Which implementation of AdamW is used."""

    FUSED = "fused"
    FOREACH = "foreach"
    LOOP = "loop"


class Encoding(StrEnum):
    """Where the latents come from."""

    ONLINE = "online"
    PRECOMPUTED = "precomputed"


class Ema(Boundary):
    """Exponential moving average of the UNet's weights."""

    enabled: bool = Field(True, description="Whether an average is kept; an update is one pass over the weights.")
    smoothing: DecimalString = Field(
        Decimal("0.99"), description="Weight of the old average after one batch, at least 0 and below 1."
    )
    every_batches: int = Field(
        1, ge=1, le=100_000, description="Batches between updates; the old average then weighs smoothing^everyBatches."
    )
    start_batch: int = Field(
        0, ge=0, le=1_000_000_000, description="Batch at whose end the average starts, as a copy of the weights."
    )

    @model_validator(mode="after")
    def _smoothing_is_a_weight(self) -> "Ema":
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"ema.smoothing {WEIGHT}")
        return self


class Window(Boundary):
    """Which part of the run is measured."""

    warmup_batches: int = Field(20, ge=1, le=100_000, description="Batches to train before the window may open.")
    warmup_seconds: int = Field(
        0, ge=0, le=86_400, description="Seconds to train before the window may open, in addition to warmupBatches."
    )
    batches: int = Field(100, ge=2, le=1_000_000, description="Batches that are measured.")
    max_foreign_cpu_ratio: DecimalString = Field(
        Decimal("0.1"),
        description="Largest share of a host's CPU time, 0 to 1, that other processes and the hypervisor may use in "
        "the window; above it, the Measurement is marked as disturbed.",
    )

    @model_validator(mode="after")
    def _foreign_is_a_share(self) -> "Window":
        if self.max_foreign_cpu_ratio > 1:
            raise ValueError(f"window.maxForeignCpuRatio {SHARE}")
        return self


class Loader(Boundary):
    """How images reach the device."""

    workers: int = Field(0, ge=0, le=64, description="Loader processes for each rank; 0 loads in the rank itself.")
    prefetch_batches: int = Field(2, ge=1, le=64, description="Batches that each loader process prepares ahead.")
    predownload_samples: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Samples that each loader process downloads ahead. Absent: 8 batches, or 16,384 samples of latents "
        "if the cache is not limited.",
    )
    cache_limit_gibibytes: int | None = Field(
        None, ge=1, le=1_048_576, description="Most GiB of remote shards that a pod keeps on disk. Absent: no limit."
    )
    canonical_nodes: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Parts into which Streaming divides the shards, which fixes the order of the samples; a multiple "
        "or a divisor of the number of pods. Absent: 64 if that fits, else the number of pods.",
    )


class TrainerConfig(Boundary):
    """How Stable Diffusion is trained: the settings of `spec.trainer`."""

    model: Model = Field(Model.SD2_BASE, description="sd2-base, or tiny (the same parts, trained in seconds on a CPU).")
    image_size: int = Field(512, ge=32, le=1024, multiple_of=32, description="Side of the square images in pixels.")
    global_batch_size: int = Field(2048, ge=1, le=1_048_576, description="Images in one step, over all devices.")
    device_microbatch_size: int = Field(4, ge=1, le=65_536, description="Images that one device processes at once.")
    automatic_microbatch: bool = Field(
        False,
        description="Whether to find the largest microbatch that fits the GPU, instead of using deviceMicrobatchSize.",
    )
    allow_ragged_batch: bool = Field(
        False,
        description="Whether to accept a globalBatchSize that does not divide: it is cut to the largest that does, and "
        "the last microbatch may be smaller.",
    )
    precision: Precision = Field(Precision.AMP_FP16, description="Number format of the forward and backward pass.")
    frozen_precision: FrozenPrecision = Field(
        FrozenPrecision.MATCHING,
        description="Number format of the VAE and the text encoder. matching: the format of precision.",
    )
    attention: Attention = Field(Attention.SDPA, description="Implementation of attention; xformers needs GPUs.")
    channels_last: bool = Field(False, description="Whether the UNet and the VAE use the channels-last memory format.")
    compile: bool = Field(False, description="Whether torch.compile compiles the UNet, before the window.")
    gradient_checkpointing: bool = Field(False, description="Whether the UNet recomputes activations to save memory.")
    data_parallel: DataParallel = Field(
        DataParallel.DDP,
        description="ddp: every device holds the model; fsdp2: weights, average and optimizer state are sharded.",
    )
    optimizer: Optimizer = Field(Optimizer.FUSED, description="Implementation of AdamW.")
    encoding: Encoding = Field(
        Encoding.ONLINE,
        description="online: the VAE runs in every step; precomputed: the VAE ran in `shards build --latents`.",
    )
    learning_rate: DecimalString = Field(Decimal("0.0001"), description="Learning rate of AdamW, constant.")
    caption_dropout: DecimalString = Field(
        Decimal("0.1"), description="Share of captions that are replaced by the empty caption, 0 to 1."
    )
    ema: Ema = Field(Ema(), description="Exponential moving average of the UNet's weights.")
    window: Window = Field(Window(), description="Which part of the run is measured.")
    loader: Loader = Field(Loader(), description="How images reach the device.")
    seed: int = Field(17, ge=0, le=2**31 - 1, description="Seed of weights, sample order, noise and timesteps.")

    @model_validator(mode="after")
    def _dropout_is_a_share(self) -> "TrainerConfig":
        if not 0 <= self.caption_dropout <= 1:
            raise ValueError(f"captionDropout {SHARE}")
        return self
