"""Counts the devices of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

NVIDIA = "nvidia.com/gpu"
_PROC = Path("/proc/driver/nvidia/gpus")


def available(resource: str | None) -> int | None:
    """Devices of this resource that a run may use; None: not limited (CPU processes), or of an unknown kind (see
    `countable`)."""
    if resource != NVIDIA:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return sum(bool(part.strip()) and part.strip() != "-1" for part in visible.split(","))
    return _nvidia()


def countable(resource: str | None) -> bool:
    """Whether local runs know this kind of device."""
    return resource in (None, NVIDIA)


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _nvidia() -> int:
    if _PROC.is_dir():
        return sum(1 for _ in _PROC.iterdir())
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0
