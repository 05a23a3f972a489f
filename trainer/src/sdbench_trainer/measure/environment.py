"""Collects the environment of a run for the Report."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch

from sdbench_trainer import __version__
from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.measure.device_peaks import peak_teraflops
from sdbench_trainer.report import Environment
from sdbench_trainer.run import RunConfig

DISTRIBUTIONS = {
    "torch": "torch",
    "composer": "mosaicml",
    "streaming": "mosaicml-streaming",
    "diffusers": "diffusers",
    "transformers": "transformers",
}


def config_hash(config: TrainerConfig) -> str:
    """12 hex digits that change with any knob."""
    text = json.dumps(config.document(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _first_match(path: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def _processor() -> str:
    return _first_match(Path("/proc/cpuinfo"), r"^model name\s*:(.*)$") or platform.machine()


def _nccl() -> str:
    return ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]


def device_name(run: RunConfig) -> str:
    """The accelerator, or the CPU."""
    return torch.cuda.get_device_name() if run.accelerator else _processor()


def peak(run: RunConfig) -> float | None:
    """Dense peak of one device in TFLOP/s, as the run or the table says; None where unknown."""
    if run.peak_teraflops is not None:
        return float(run.peak_teraflops)
    return peak_teraflops(device_name(run), run.trainer.precision)


def environment(
    run: RunConfig, workload: Mapping[str, str] | None = None, flops_per_image: float | None = None
) -> Environment:
    """What this rank runs on, and what it really used; every rank of a run should say the same."""
    gpu = run.accelerator
    return Environment(
        config_hash=config_hash(run.trainer),
        device=device_name(run)[:80],
        device_count=run.devices,
        versions={"sdbench": __version__, **{name: version(package) for name, package in DISTRIBUTIONS.items()}},
        driver=_first_match(Path("/proc/driver/nvidia/version"), r"Kernel Module\s+(\S+)") if gpu else None,
        nccl=_nccl() if gpu else None,
        workload=dict(workload or {}),
        flops_per_image=flops_per_image,
        peak_teraflops=peak(run),
    )
