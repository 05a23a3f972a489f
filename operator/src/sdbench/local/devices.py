"""Counts the devices of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

NVIDIA = "nvidia.com/gpu"
_PROC = Path("/proc/driver/nvidia/gpus")


def available(resource: str | None) -> int | None:
    """The number of devices of this resource that a run may use; None if there is no limit, as for CPU processes."""
    if resource != NVIDIA:
        return None
    # CUDA sees no other devices than these.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return sum(part.strip() not in ("", "-1") for part in visible.split(","))
    if _PROC.is_dir():
        return sum(1 for _ in _PROC.iterdir())
    # WSL has the driver's tool, but not its folder in /proc.
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def cores() -> int:
    """The number of CPUs that this process may use."""
    # macOS has no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
