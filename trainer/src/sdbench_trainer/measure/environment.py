"""Collects the Report's Environment: the device, the versions and the settings of a run."""

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
    """12 hexadecimal digits that change with every setting."""
    # Sorted and without spaces, so that equal settings always have the same text.
    text = json.dumps(config.document(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _first_match(path: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def device_name(run: RunConfig) -> str:
    """The name of the accelerator, or of the CPU."""
    if run.accelerator:
        return torch.cuda.get_device_name()
    # Not every kernel names the processor: on Arm there is no "model name".
    return _first_match(Path("/proc/cpuinfo"), r"^model name\s*:(.*)$") or platform.machine()


def peak(run: RunConfig) -> float | None:
    """Dense peak of one device in TFLOP/s, from the run or else from the table; None if unknown."""
    if run.peak_teraflops is not None:
        return float(run.peak_teraflops)
    return peak_teraflops(device_name(run), run.trainer.precision)


def environment(
    run: RunConfig, workload: Mapping[str, str] | None = None, flops_per_image: float | None = None
) -> Environment:
    """The Environment of this rank; `workload` holds the effective settings."""
    gpu = run.accelerator
    return Environment(
        config_hash=config_hash(run.trainer),
        device=device_name(run)[:80],  # so that the Report fits into a termination message
        device_count=run.devices,
        versions={"sdbench": __version__, **{name: version(package) for name, package in DISTRIBUTIONS.items()}},
        driver=_first_match(Path("/proc/driver/nvidia/version"), r"Kernel Module\s+(\S+)") if gpu else None,
        nccl=".".join(map(str, torch.cuda.nccl.version())) if gpu else None,  # type: ignore[no-untyped-call]
        workload=dict(workload or {}),
        flops_per_image=flops_per_image,
        peak_teraflops=peak(run),
    )
