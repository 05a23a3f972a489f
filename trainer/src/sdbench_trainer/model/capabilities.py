"""Checks, before anything is built, whether this rank's device supports the settings."""

import importlib
from dataclasses import dataclass

import torch

from sdbench_trainer.config import Attention, FrozenPrecision, Precision, TrainerConfig
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.run import Unsupported


@dataclass(frozen=True)
class Capabilities:
    """What a device and its image support, as far as the settings need it."""

    device: str
    """The device's name, for messages."""
    bf16: bool = True
    """Whether the device computes in bf16 without emulation."""
    xformers: bool = True
    """Whether xformers' attention runs on the device."""
    compiler: str | None = None
    """What torch.compile needs and the image lacks, if anything."""


def unsupported(config: TrainerConfig, abilities: Capabilities) -> Unsupported | None:
    """The first setting that the device does not support."""
    if config.precision is Precision.AMP_BF16 and not abilities.bf16:
        return Unsupported("precision", f"{abilities.device} has no bf16; use amp_fp16 or fp32")
    if config.frozen_precision is FrozenPrecision.BF16 and not abilities.bf16:
        return Unsupported("frozenPrecision", f"{abilities.device} has no bf16; use fp16 or fp32")
    if config.attention is Attention.XFORMERS and not abilities.xformers:
        return Unsupported("attention", f"xformers does not run on {abilities.device} in this image; use sdpa")
    if config.compile and abilities.compiler is not None:
        return Unsupported("compile", f"torch.compile needs {abilities.compiler}, which this image lacks; leave it off")
    return None


def _xformers_runs(device: torch.device) -> bool:
    """Whether xformers can be imported and has kernels for this device."""
    try:
        operations = importlib.import_module("xformers.ops")
        query = torch.zeros(1, 2, 40, device=device)
        operations.memory_efficient_attention(query, query, query)
    except (ImportError, OSError, NotImplementedError, RuntimeError, ValueError):
        return False
    return True


def _missing_for_compile(device: torch.device) -> str | None:
    """What torch.compile needs for this device and the image lacks."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    if device.type == "cuda":
        try:
            importlib.import_module("triton")
        except (ImportError, OSError):
            return "Triton"
    # For CPUs torch.compile generates C++. For GPUs it generates Triton, which compiles a launcher in C.
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "a C++ compiler (g++)"
    return None


def capabilities_of(device: torch.device, config: TrainerConfig) -> Capabilities:
    """The capabilities of a device that the settings need; the others count as present."""
    # Nothing else is imported: xformers and the compiler take seconds.
    cuda = device.type == "cuda"
    return Capabilities(
        device=torch.cuda.get_device_name(device) if cuda else "a CPU",
        bf16=torch.cuda.is_bf16_supported(including_emulation=False) if cuda else True,
        xformers=_xformers_runs(device) if config.attention is Attention.XFORMERS else True,
        compiler=_missing_for_compile(device) if config.compile else None,
    )


def require_capabilities(config: TrainerConfig, device: torch.device) -> None:
    """Refuses settings that the device does not support. Raises ConfigInvalid."""
    found = unsupported(config, capabilities_of(device, config))
    if found is not None:
        raise ConfigInvalid(f"trainer.{found.field}: {found.sentence}.")
