"""Defines every setting of a training run once, with unit, bounds, default and description.

`TrainerConfig` is `spec.trainer` of a Benchmark.
"""

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?$"
DECIMAL_LIMIT = 24
"""Longest decimal string."""

SHARE = "must be at least 0 and at most 1"
WEIGHT = "must be at least 0 and below 1"
"""What the API server and the trainer both answer to such a value that is out of bounds."""


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
    """How the devices share the training of one model."""

    DDP = "ddp"
    FSDP2 = "fsdp2"


class Optimizer(StrEnum):
    """Which implementation of AdamW steps."""

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
        1,
        ge=1,
        le=100_000,
        description="Batches from one update to the next, which then weighs smoothing^everyBatches.",
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

    warmup_batches: int = Field(20, ge=1, le=100_000, description="Batches trained before the window may open.")
    warmup_seconds: int = Field(
        0, ge=0, le=86_400, description="Seconds of training before the window may open, beside warmupBatches."
    )
    batches: int = Field(100, ge=2, le=1_000_000, description="Batches that are measured.")
    max_foreign_cpu_ratio: DecimalString = Field(
        Decimal("0.1"),
        description="Share of a host's CPU time, 0 to 1, that strangers and the hypervisor may take from the window; "
        "more, and it is marked as disturbed.",
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
        description="Samples that each loader process fetches ahead. Absent: 8 batches; of latents 16,384, unless the "
        "cache is limited.",
    )
    cache_limit_gibibytes: int | None = Field(
        None, ge=1, le=1_048_576, description="Most of the remote shards that a pod keeps on disk, in GiB. Absent: all."
    )
    canonical_nodes: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Parts into which Streaming divides the shards, which fixes the order of the samples; a multiple "
        "or a divisor of the number of pods. Absent: 64 where that fits, else that number.",
    )


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
    automatic_microbatch: bool = Field(
        False,
        description="Find the largest microbatch that fits the device, in place of deviceMicrobatchSize. GPUs only.",
    )
    allow_ragged_batch: bool = Field(
        False,
        description="Whether a globalBatchSize that does not divide is cut to the largest that does, and a last "
        "microbatch may be smaller; refused otherwise.",
    )
    precision: Precision = Field(Precision.AMP_FP16, description="Number format of the forward and backward pass.")
    frozen_precision: FrozenPrecision = Field(
        FrozenPrecision.MATCHING,
        description="Number format of the VAE and the text encoder. matching: fp32, fp16 or bf16 as precision has it.",
    )
    attention: Attention = Field(Attention.SDPA, description="Implementation of attention; xformers needs GPUs.")
    channels_last: bool = Field(False, description="Whether the UNet and the VAE keep their images channels last.")
    compile: bool = Field(False, description="Whether the UNet is compiled by torch.compile, before the window.")
    gradient_checkpointing: bool = Field(
        False, description="Whether the UNet computes activations again in the backward pass, to save memory."
    )
    data_parallel: DataParallel = Field(
        DataParallel.DDP,
        description="ddp: every device holds the model; fsdp2: weights, average and moments are sharded.",
    )
    optimizer: Optimizer = Field(Optimizer.FUSED, description="Implementation of AdamW.")
    encoding: Encoding = Field(
        Encoding.ONLINE,
        description="online: the VAE runs in every step; precomputed: it ran in `shards build --latents`.",
    )
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
            raise ValueError(f"captionDropout {SHARE}")
        return self
