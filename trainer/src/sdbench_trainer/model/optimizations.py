"""Applies the settings to PyTorch, diffusers and Composer, each in one place."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from composer.utils import FSDP2Config
from diffusers.models.attention_processor import AttnProcessor2_0, XFormersAttnProcessor
from torch import Tensor, nn

from sdbench_trainer.config import Attention, DataParallel, FrozenPrecision, Optimizer, TrainerConfig

DTYPES = {
    FrozenPrecision.FP32: torch.float32,
    FrozenPrecision.FP16: torch.float16,
    FrozenPrecision.BF16: torch.bfloat16,
}

PROCESSORS = {Attention.SDPA: AttnProcessor2_0, Attention.XFORMERS: XFormersAttnProcessor}

GRAPHS = 64
"""Most graphs that one function is compiled to: FSDP2's units share their code. More would run uncompiled."""


def is_channels_last(weight: Tensor) -> bool | None:
    """The layout of a convolution's weight; None where its shape has one layout only."""
    if weight.dim() != 4 or weight.shape[1] == 1 or weight.shape[2:].numel() == 1:
        return None
    return weight.stride(1) == 1


def memory_format(network: nn.Module) -> torch.memory_format:
    """The layout of a network's images: that of its first convolution."""
    first = (is_channels_last(weight) for weight in network.parameters())
    found = next((layout for layout in first if layout is not None), False)
    return torch.channels_last if found else torch.contiguous_format


def prepared(unet: Any, config: TrainerConfig) -> nn.Module:
    """A UNet with weights, made to compute as the knobs ask; the names of its parameters stay."""
    unet.set_attn_processor(PROCESSORS[config.attention]())
    if config.channels_last:
        unet.to(memory_format=torch.channels_last)
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    if config.data_parallel is DataParallel.FSDP2:
        blocks = {unet.mid_block, *unet.down_blocks, *unet.up_blocks}
        unet.fsdp_wrap_fn = blocks.__contains__
    if config.compile:
        torch._dynamo.config.recompile_limit = GRAPHS
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        unet.compile(dynamic=False)
    return unet  # type: ignore[no-any-return]


def keep_compiled_below(folder: Path) -> None:
    """A cache of the run's own: a compilation that was killed leaves half a library, and the next run would load it."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")


def adamw(parameters: Iterable[nn.Parameter], config: TrainerConfig) -> torch.optim.AdamW:
    """The optimiser; PyTorch is left no choice of implementation."""
    asked = config.optimizer
    return torch.optim.AdamW(
        parameters,
        lr=float(config.learning_rate),
        fused=asked is Optimizer.FUSED,
        foreach=asked is Optimizer.FOREACH,
    )


def parallelism(config: TrainerConfig) -> dict[str, Any] | None:
    """Composer's parallelism_config. The UNet's blocks are FSDP2's units, and stay whole until their backward pass."""
    if config.data_parallel is DataParallel.DDP:
        return None
    return {"fsdp": FSDP2Config(reshard_after_forward=False)}
