"""Runs as PID 1 of a training pod: starts one rank for each device, watches them, and reports how they ended.

    python -m sdbench_trainer.launch [-- COMMAND …]

The exit code is that of the first cause (`report.ExitCode`, or 128 + signal); the Report is written once, at the end.
After `--` stands what to run as a rank instead of the trainer. It imports neither torch nor Composer, and so is quick.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sdbench_trainer.heartbeat import Heartbeats, RankPhase
from sdbench_trainer.pod import shm_cleanup
from sdbench_trainer.pod.exit_report import failure_of, refusal, result_of, stalled, stopped
from sdbench_trainer.pod.ranks import Rank, reap, say, started
from sdbench_trainer.pod.topology import (
    LaunchRefused,
    Topology,
    credential_variables,
    default_variables,
    rank_variables,
    run_in,
    source_variables,
    topology_in,
)
from sdbench_trainer.pod.watchdog import RankExit, Stall, code_of, find_stall, first_failure
from sdbench_trainer.report import Report, message
from sdbench_trainer.run import CREDENTIALS_FOLDER, SCRATCH_VARIABLE, RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT_VARIABLE = "SDBENCH_REPORT"
"""Environment variable with the file that takes the Report."""

CREDENTIALS_VARIABLE = "SDBENCH_CREDENTIALS"
"""Environment variable with the folder of the mounted Secret, if it is elsewhere than in a pod."""

TRAINER = (sys.executable, "-m", "sdbench_trainer.train")
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
GRACE_SECONDS = 7.0
KILL_SECONDS = 2.0
"""What the kernel does not end in this time ends with the pod."""
TICK_SECONDS = 0.25
SHORT_CHARACTERS = 50
"""Of 107 that the path of a socket may have, what TMPDIR's parent may take."""
DUMP_SECONDS = 1.5
NEWS_SECONDS = 10.0


@dataclass
class Pod:
    """The ranks of this pod while they run."""

    run: RunConfig
    topology: Topology
    ranks: list[Rank]
    beats: Heartbeats
    scratch: Path
    ends: list[RankExit] = field(default_factory=list)
    stop_signal: signal.Signals | None = None
    news_at: float = 0.0

    def running(self) -> list[Rank]:
        """Ranks that have not ended."""
        return [rank for rank in self.ranks if rank.status is None]

    def hear(self, seconds: float = TICK_SECONDS) -> None:
        """Wait for a signal, the end of a rank among them, and note what it says."""
        heard = signal.sigtimedwait(HEARD, seconds)
        if heard is not None and heard.si_signo != signal.SIGCHLD:
            self.stop_signal = signal.Signals(heard.si_signo)
        for rank in reap(self.ranks):
            if rank.status:
                self.ends.append(RankExit(rank.number, code_of(rank.status, rank.last_words()), time.monotonic()))

    def stop(self) -> None:
        """End all ranks: politely, and after a grace by force."""
        deadline = time.monotonic() + GRACE_SECONDS
        for rank in self.running():
            rank.signal(signal.SIGTERM)
        while self.running() and time.monotonic() < deadline:
            self.hear()
        for rank in self.running():
            rank.signal(signal.SIGKILL, group=True)
        deadline = time.monotonic() + KILL_SECONDS
        while self.running() and time.monotonic() < deadline:
            self.hear()

    def dump(self) -> None:
        """Have every rank write its stacks to its output."""
        for rank in self.running():
            rank.signal(signal.SIGUSR1)
        deadline = time.monotonic() + DUMP_SECONDS
        while time.monotonic() < deadline:
            self.hear()

    def news(self) -> None:
        """From time to time, one line on how far the run is."""
        now = time.monotonic()
        beat = self.beats.of(0)
        if beat.phase is RankPhase.TRAINING and beat.median_step and now >= self.news_at:
            self.news_at = now + NEWS_SECONDS
            say(f"launch: step {beat.steps}, {beat.median_step:.3f} s a step")


@dataclass(frozen=True)
class Folders:
    """What is there while a run lasts."""

    scratch: Path
    """Shared by PID 1 and its ranks: beats, outcomes, shards."""
    temporary: Path
    """The ranks' TMPDIR."""


def rank_environment(run: RunConfig, topology: Topology, local_rank: int, folders: Folders) -> dict[str, str]:
    """All variables of one rank."""
    credentials = Path(os.environ.get(CREDENTIALS_VARIABLE, CREDENTIALS_FOLDER))
    return {
        **default_variables(topology),
        **os.environ,
        **source_variables(run.source),
        **credential_variables(credentials),
        **rank_variables(topology, local_rank, folders.scratch, folders.temporary),
    }


def pod(run: RunConfig, topology: Topology, folders: Folders, command: Sequence[str]) -> Pod:
    """All ranks of this pod, started."""
    beats = Heartbeats(folders.scratch / "beats", topology.per_node, time.monotonic())
    ranks = [
        started(command, topology.first_rank + number, rank_environment(run, topology, number, folders))
        for number in range(topology.per_node)
    ]
    for rank in ranks:
        rank.listen()
    return Pod(run, topology, ranks, beats, folders.scratch)


def first_cause(running: Pod) -> RankExit | Stall | signal.Signals | None:
    """Watch until all ranks have ended well (None), or until it is known why they will not."""
    while running.running():
        running.hear()
        now = time.monotonic()
        if running.stop_signal is not None:
            return running.stop_signal
        if found := first_failure(running.ends, now=now, running=len(running.running())):
            return found
        beats = [running.beats.of(number) for number in range(len(running.ranks))]
        alive = [beat if rank.status is None else None for beat, rank in zip(beats, running.ranks, strict=True)]
        if not running.ends and (late := find_stall(alive, running.run.watchdog, now, running.topology.start_seconds)):
            return late
        running.news()
    return first_failure(running.ends, now=time.monotonic(), running=0)


def pod_report(running: Pod, began: float) -> Report | None:
    """Watch the pod to its end; None where another pod has the result."""
    cause = first_cause(running)
    if isinstance(cause, Stall):
        running.dump()
    running.stop()
    first_step = running.beats.of(0).first_step_at
    seconds = first_step - began if first_step else None
    if cause is None:
        return result_of(running.run, running.topology, running.scratch, seconds)
    if isinstance(cause, RankExit):
        error = failure_of(cause, running.ranks, running.topology, running.beats, running.scratch)
    elif isinstance(cause, Stall):
        error = stalled(cause, running.ranks, running.topology)
    else:
        error = stopped(cause, running.topology, running.beats)
    return Report(attempt=running.run.attempt, error=error, seconds_to_first_step=seconds)


def _temporary_parent() -> str | None:
    """Where sockets can be made: loader processes pass tensors through sockets in TMPDIR, whose paths must be short."""
    return None if len(tempfile.gettempdir()) <= SHORT_CHARACTERS else "/tmp"  # noqa: S108 - random names are made in it


@contextmanager
def run_folders() -> "Iterator[Folders]":
    """The folders of this run, scratch in SDBENCH_SCRATCH if that is set; gone afterwards, with what Streaming left."""
    parent = os.environ.get(SCRATCH_VARIABLE)
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="sdbench-", dir=parent))
    temporary = Path(tempfile.mkdtemp(prefix="sdbench-", dir=_temporary_parent()))
    try:
        yield Folders(scratch, temporary)
    finally:
        shm_cleanup.remove_those_of(temporary)
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def write_report(report: Report) -> None:
    """Write the Report into the file that is there: a termination message cannot be replaced."""
    place = Path(os.environ.get(REPORT_VARIABLE, "/dev/termination-log"))
    try:
        place.write_text(message(report))
    except OSError as error:
        say(f"launch: the report cannot be written to {place}: {error}")


def launched(command: Sequence[str]) -> Report | None:
    """The whole life of PID 1."""
    began = time.monotonic()
    try:
        run = run_in(os.environ)
        topology = topology_in(os.environ, run.devices)
    except LaunchRefused as refused:
        return refusal(str(refused))
    if os.getpid() == 1:
        shm_cleanup.remove_all()
    else:
        shm_cleanup.remove_unused()
    say(f"launch: {run.attempt}: {topology.per_node} of {run.devices} ranks here")
    with run_folders() as folders:
        return pod_report(pod(run, topology, folders, command), began)


def run_pod() -> None:
    """Run to the end, leave the Report, and exit with the code of the first cause."""
    arguments = sys.argv[1:]
    command = arguments[arguments.index("--") + 1 :] if "--" in arguments else list(TRAINER)
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    report = launched(command)
    error = report.error if report else None
    if report:
        write_report(report)
    if error:
        last = error.tail.splitlines()[-1] if error.tail else ""
        say(f"launch: exit {error.code}, {error.where}: {last}")
    sys.exit(error.code if error else 0)


if __name__ == "__main__":
    run_pod()
