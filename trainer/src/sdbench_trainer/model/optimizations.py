"""Applies the settings to PyTorch, diffusers and Composer, each setting in one place."""

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
"""Most graphs that one function may be compiled to. FSDP2's units share their code, so their graphs add up."""


def is_channels_last(weight: Tensor) -> bool | None:
    """Whether a convolution's weight is channels last; None for a shape that has only one layout."""
    # The strides of a depthwise or 1x1 convolution are the same in both layouts.
    if weight.dim() != 4 or weight.shape[1] == 1 or weight.shape[2:].numel() == 1:
        return None
    return weight.stride(1) == 1


def memory_format(network: nn.Module) -> torch.memory_format:
    """The memory format of a network's images: the one of its first convolution."""
    first = (is_channels_last(weight) for weight in network.parameters())
    found = next((layout for layout in first if layout is not None), False)
    return torch.channels_last if found else torch.contiguous_format


def prepared(unet: Any, config: TrainerConfig) -> nn.Module:
    """Applies the settings to a UNet with weights; its parameters keep their names."""
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
        # Otherwise PyTorch would run what is beyond the limit uncompiled.
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        unet.compile(dynamic=False)
    return unet  # type: ignore[no-any-return]


def keep_compiled_below(folder: Path) -> None:
    """Gives torch.compile a cache of the run's own in this folder."""
    # A compilation that is killed leaves half a library, which the next run with the same cache would load.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")


def adamw(parameters: Iterable[nn.Parameter], config: TrainerConfig) -> torch.optim.AdamW:
    """AdamW in the requested implementation."""
    # Both flags are set, because None would leave the choice to PyTorch.
    asked = config.optimizer
    return torch.optim.AdamW(
        parameters,
        lr=float(config.learning_rate),
        fused=asked is Optimizer.FUSED,
        foreach=asked is Optimizer.FOREACH,
    )


def parallelism(config: TrainerConfig) -> dict[str, Any] | None:
    """The parallelism_config of Composer's Trainer."""
    if config.data_parallel is DataParallel.DDP:
        return None
    # The UNet's blocks stay whole until their backward pass.
    return {"fsdp": FSDP2Config(reshard_after_forward=False)}
