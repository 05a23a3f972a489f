"""Measures how much of each host's CPU time other processes and the hypervisor used during the window.

    foreign = (Δbusy − Σ Δown) / Δtotal        steal = Δstolen / Δtotal        between two readings, in ticks

`own` is the time of a rank's session: the rank and its loader's processes, including children that have ended. PID 1 of
the pod counts as another process; it only wakes up four times a second.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class CpuTimes:
    """CPU time of a whole host since it started, in ticks, over all CPUs."""

    busy: int
    stolen: int
    total: int


@dataclass(frozen=True)
class CpuReading:
    """CPU times that one rank reads at one edge of the window."""

    host: str
    """The boot id of the kernel, which is the same for all pods of a node."""
    machine: CpuTimes
    own: int
    """Ticks of this rank's session."""


@dataclass(frozen=True)
class CpuDelta:
    """CPU time between two readings of a rank, in ticks."""

    host: str
    busy: int
    stolen: int
    total: int
    own: int


@dataclass(frozen=True)
class HostLoad:
    """Shares, 0 to 1, of the CPU time of one host."""

    foreign: float
    steal: float

    @property
    def taken(self) -> float:
        """Share that was not available to the training."""
        return self.foreign + self.steal


def cpu_times_in(text: str) -> CpuTimes:
    """The CPU times in the first line of /proc/stat. Raises ValueError for another text."""
    name, *fields = text.partition("\n")[0].split()
    user, nice, system, idle, iowait, irq, softirq, stolen = (int(field) for field in fields[:8])
    if name != "cpu":
        raise ValueError("/proc/stat does not begin with the sum of all CPUs")
    # The times of guests are not added: user and nice include them.
    busy = user + nice + system + irq + softirq
    return CpuTimes(busy, stolen, busy + idle + iowait + stolen)


def ticks_in(text: str) -> int:
    """The ticks in /proc/PID/stat of a process and its ended children: fields 14 to 17 of proc_pid_stat(5)."""
    # The name of the process, in parentheses, may contain spaces and parentheses.
    utime, stime, cutime, cstime = text.rpartition(")")[2].split()[11:15]
    return int(utime) + int(stime) + int(cutime) + int(cstime)


def own_ticks(proc: Path, session_of: Callable[[int], int]) -> int:
    """Ticks that the processes of this session have used so far."""
    mine, total = session_of(0), 0
    for number in filter(str.isdecimal, os.listdir(proc)):  # noqa: PTH208 - a rank should not read for long
        # A process may end between the listing and the reading.
        with contextlib.suppress(OSError):
            if session_of(int(number)) == mine:
                total += ticks_in((proc / number / "stat").read_text(errors="replace"))
    return total


def read_cpu(proc: Path = PROC, session_of: Callable[[int], int] = os.getsid) -> CpuReading | None:
    """CPU times so far; None if /proc cannot be read or parsed."""
    try:
        host = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return CpuReading(host, cpu_times_in((proc / "stat").read_text()), own_ticks(proc, session_of))
    except (OSError, ValueError):
        return None


def cpu_delta(opening: CpuReading | None, closing: CpuReading | None) -> CpuDelta | None:
    """The difference of two readings; None if one is missing, or no time has passed."""
    if opening is None or closing is None or closing.machine.total <= opening.machine.total:
        return None
    before, after = opening.machine, closing.machine
    return CpuDelta(
        host=closing.host,
        busy=after.busy - before.busy,
        stolen=after.stolen - before.stolen,
        total=after.total - before.total,
        own=max(0, closing.own - opening.own),
    )


def worst_load(ranks: Sequence[CpuDelta | None]) -> HostLoad | None:
    """The load of the host with the largest share taken; None if no rank could read its host."""
    known = sorted((rank for rank in ranks if rank is not None), key=lambda rank: rank.host)
    loads = []
    # Grouped by host, because two pods of an Attempt on one node are not other processes to each other.
    for _, group in groupby(known, key=lambda rank: rank.host):
        of_host = list(group)
        first = of_host[0]
        foreign = (first.busy - sum(rank.own for rank in of_host)) / first.total
        loads.append(HostLoad(foreign=max(0.0, foreign), steal=max(0.0, first.stolen / first.total)))
    return max(loads, key=lambda load: load.taken, default=None)
