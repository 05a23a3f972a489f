"""Measures what other processes and the hypervisor took of each host's CPU time during the window.

    foreign = (Δbusy − Σ Δown) / Δtotal        steal = Δstolen / Δtotal        between two readings, in ticks

`busy` is user + nice + system + irq + softirq of /proc/stat (guests are in user and nice already), `total` adds idle,
iowait and steal. `own` is what all processes of a rank's session have used: the rank and its loader's processes, with
children that have ended. Ranks are put together by the kernel that they run on, so that two pods of one Attempt on one
node are no strangers to each other. PID 1 of the pod counts as one, which only wakes up four times a second.
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
    """What one rank reads at one edge of the window."""

    host: str
    """The boot id of the kernel."""
    machine: CpuTimes
    own: int
    """Ticks of this rank's session."""


@dataclass(frozen=True)
class CpuDelta:
    """What passed on a rank's host between the edges of the window, in ticks."""

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
        """What the training could not have."""
        return self.foreign + self.steal


def cpu_times_in(text: str) -> CpuTimes:
    """The first line of /proc/stat; raises ValueError if it is something else."""
    name, *fields = text.partition("\n")[0].split()
    user, nice, system, idle, iowait, irq, softirq, stolen = (int(field) for field in fields[:8])
    if name != "cpu":
        raise ValueError("/proc/stat does not begin with the sum of all CPUs")
    busy = user + nice + system + irq + softirq
    return CpuTimes(busy, stolen, busy + idle + iowait + stolen)


def ticks_in(text: str) -> int:
    """The ticks of /proc/PID/stat, with those of children that ended.

    The name, in parentheses, may hold anything; utime, stime, cutime and cstime are fields 14 to 17 (proc_pid_stat(5)).
    """
    utime, stime, cutime, cstime = text.rpartition(")")[2].split()[11:15]
    return int(utime) + int(stime) + int(cutime) + int(cstime)


def own_ticks(proc: Path, session_of: Callable[[int], int]) -> int:
    """What all processes of this session have used so far; one that ends while it is looked at counts no more."""
    mine, total = session_of(0), 0
    for number in filter(str.isdecimal, os.listdir(proc)):  # noqa: PTH208 - a rank should not read for long
        with contextlib.suppress(OSError):
            if session_of(int(number)) == mine:
                total += ticks_in((proc / number / "stat").read_text(errors="replace"))
    return total


def read_cpu(proc: Path = PROC, session_of: Callable[[int], int] = os.getsid) -> CpuReading | None:
    """What has been used so far; None where /proc does not say."""
    try:
        host = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return CpuReading(host, cpu_times_in((proc / "stat").read_text()), own_ticks(proc, session_of))
    except (OSError, ValueError):
        return None


def cpu_delta(opening: CpuReading | None, closing: CpuReading | None) -> CpuDelta | None:
    """What passed between two readings; None where one is missing, or no time passed."""
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


def _load_of_host(ranks: Sequence[CpuDelta]) -> HostLoad:
    """The host as its first rank saw it, the processes of all its ranks taken out."""
    seen = ranks[0]
    foreign = (seen.busy - sum(rank.own for rank in ranks)) / seen.total
    return HostLoad(foreign=max(0.0, foreign), steal=max(0.0, seen.stolen / seen.total))


def worst_load(ranks: Sequence[CpuDelta | None]) -> HostLoad | None:
    """The load of the host from which most was taken, of those that could be read; None if there are none."""
    known = sorted((rank for rank in ranks if rank is not None), key=lambda rank: rank.host)
    hosts = [_load_of_host(list(group)) for _, group in groupby(known, key=lambda rank: rank.host)]
    return max(hosts, key=lambda load: load.taken, default=None)
