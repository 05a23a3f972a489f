"""Which machine was it, and who else used it meanwhile?

The load is read from /proc/stat at both ends of a case: what neither idled nor was used by this process and its
children was used by strangers; `steal` is what the hypervisor gave to other guests.
"""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from sdbench_trainer.config import Boundary

STAT = Path("/proc/stat")


class Machine(Boundary):
    """The facts that speed depends on."""

    processor: str
    cores: int
    memory_gibibytes: int
    vectors: str
    """The instructions that PyTorch uses."""
    threads: int
    python: str
    versions: dict[str, str]


class Load(Boundary):
    """Shares of the machine's CPU time, 0 to 1."""

    foreign_cpu_ratio: float
    steal_ratio: float


@dataclass(frozen=True)
class Ticks:
    """CPU time since the machine started, in ticks, over all cores; `own` is this process's and its children's."""

    total: float
    idle: float
    steal: float
    own: float


def ticks_of(stat: str, own_seconds: float, per_second: int) -> Ticks:
    """The first line of /proc/stat. Guests' time is in that of users already (proc(5))."""
    user, nice, system, idle, waiting, interrupts, soft, steal = (int(word) for word in stat.split()[1:9])
    total = user + nice + system + idle + waiting + interrupts + soft + steal
    return Ticks(total, idle + waiting, steal, own_seconds * per_second)


def ticks_now() -> Ticks:
    """The ticks so far."""
    own = os.times()
    seconds = own.user + own.system + own.children_user + own.children_system
    return ticks_of(STAT.read_text(), seconds, os.sysconf("SC_CLK_TCK"))


def load_between(before: Ticks, after: Ticks) -> Load:
    """Who used the machine; a share is at least 0, because ticks are rounded."""
    total = max(after.total - before.total, 1.0)
    idle, steal, own = after.idle - before.idle, after.steal - before.steal, after.own - before.own
    foreign = total - idle - steal - own
    return Load(foreign_cpu_ratio=round(max(foreign / total, 0.0), 4), steal_ratio=round(steal / total, 4))


def _line(file: str, pattern: str) -> str:
    found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def this_machine() -> Machine:
    """The machine that this process runs on."""
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
    """Memory that can be had without swapping."""
    return int(_line("/proc/meminfo", r"^MemAvailable:\s*(\d+)")) / 2**20
