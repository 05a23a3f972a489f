"""Describes the machine, and how much CPU time other processes used, as the trainer measures it."""

import os
import platform
import re
from pathlib import Path

from sdbench_trainer.config import Boundary
from sdbench_trainer.measure.host_load import CpuReading, cpu_delta, worst_load


class Machine(Boundary):
    """The facts that affect speed."""

    processor: str
    cores: int
    memory_gibibytes: int
    vectors: str
    """The vector instructions that PyTorch uses."""
    threads: int
    python: str
    versions: dict[str, str]


class Load(Boundary):
    """Shares of the machine's CPU time, from 0 to 1."""

    foreign_cpu_ratio: float
    steal_ratio: float


def load_between(before: CpuReading | None, after: CpuReading | None) -> Load | None:
    """The load between two readings; None if /proc cannot be read."""
    taken = worst_load([cpu_delta(before, after)])
    return None if taken is None else Load(foreign_cpu_ratio=round(taken.foreign, 4), steal_ratio=round(taken.steal, 4))


def _line(file: str, pattern: str) -> str:
    found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def this_machine() -> Machine:
    """The machine on which this process runs."""
    import torch
    from composer import __version__ as composer
    from diffusers import __version__ as diffusers
    from streaming import __version__ as streaming
    from torchvision import __version__ as torchvision

    kibibytes = int(_line("/proc/meminfo", r"^MemTotal:\s*(\d+)"))
    return Machine(
        processor=_line("/proc/cpuinfo", r"^model name\s*:(.*)$"),
        cores=len(os.sched_getaffinity(0)),
        memory_gibibytes=round(kibibytes / 2**20),
        vectors=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        versions={
            "torch": torch.__version__,
            "torchvision": torchvision,
            "composer": composer,
            "streaming": streaming,
            "diffusers": diffusers,
        },
    )


def free_gibibytes() -> float:
    """The memory that is available without swapping."""
    return int(_line("/proc/meminfo", r"^MemAvailable:\s*(\d+)")) / 2**20
