"""Runs as PID 1 of a training pod: starts one rank for each device, watches them, and reports how they ended.

    python -m sdbench_trainer.launch [-- COMMAND …]

The exit code is that of the first cause (`report.ExitCode`, or 128 + signal). A COMMAND runs as the ranks in place of
the trainer. Neither torch nor Composer is imported, so PID 1 starts fast.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
from sdbench_trainer.run import CREDENTIALS_FOLDER, HEARTBEATS_FILE, SCRATCH_VARIABLE, RunConfig

REPORT_VARIABLE = "SDBENCH_REPORT"
"""Environment variable with the path of the file that receives the Report."""

CREDENTIALS_VARIABLE = "SDBENCH_CREDENTIALS"
"""Environment variable with the folder of the Secret's files, where it is not the one of a pod."""

TRAINER = (sys.executable, "-m", "sdbench_trainer.train")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
GRACE_SECONDS = 7.0
KILL_SECONDS = 2.0
"""How long to wait for killed ranks; one that the kernel has not ended by then ends with the pod."""
TICK_SECONDS = 0.25
TMPDIR_CHARACTERS = 50
"""Longest parent of the ranks' TMPDIR: the path of a socket in it may have 107 characters."""
DUMP_SECONDS = 1.5
PROGRESS_SECONDS = 10.0


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
    next_progress_at: float = 0.0

    def running(self) -> list[Rank]:
        """The ranks that have not ended."""
        return [rank for rank in self.ranks if rank.status is None]

    def wait(self, seconds: float = TICK_SECONDS) -> None:
        """Waits for a signal or the end of a rank, at most these seconds, and notes it."""
        received = signal.sigtimedwait(SIGNALS, seconds)
        if received is not None and received.si_signo != signal.SIGCHLD:
            self.stop_signal = signal.Signals(received.si_signo)
        # Whatever was received: the kernel merges signals, so one SIGCHLD may stand for several ranks.
        for rank in reap(self.ranks):
            if rank.status:
                self.ends.append(RankExit(rank.number, code_of(rank.status, rank.last_words()), time.monotonic()))

    def stop(self) -> None:
        """Ends all ranks with SIGTERM, and those that remain after GRACE_SECONDS with SIGKILL."""
        for number, group, seconds in ((signal.SIGTERM, False, GRACE_SECONDS), (signal.SIGKILL, True, KILL_SECONDS)):
            for rank in self.running():
                rank.signal(number, group=group)
            deadline = time.monotonic() + seconds
            while self.running() and time.monotonic() < deadline:
                self.wait()

    def dump_stacks(self) -> None:
        """Makes every rank write its stacks to its output, with faulthandler."""
        for rank in self.running():
            rank.signal(signal.SIGUSR1)
        deadline = time.monotonic() + DUMP_SECONDS
        while time.monotonic() < deadline:
            self.wait()

    def log_progress(self) -> None:
        """Logs the step and its duration every PROGRESS_SECONDS."""
        now = time.monotonic()
        beat = self.beats.of(0)
        if beat.phase is RankPhase.TRAINING and beat.median_step and now >= self.next_progress_at:
            self.next_progress_at = now + PROGRESS_SECONDS
            say(f"launch: step {beat.steps}, {beat.median_step:.3f} s per step")


def start_pod(run: RunConfig, topology: Topology, scratch: Path, temporary: Path, command: Sequence[str]) -> Pod:
    """Starts all ranks of this pod."""
    beats = Heartbeats(scratch / HEARTBEATS_FILE, topology.per_node, time.monotonic())
    # Later entries override earlier ones.
    shared = {
        **default_variables(topology),
        **os.environ,
        **source_variables(run.source),
        **credential_variables(Path(os.environ.get(CREDENTIALS_VARIABLE, CREDENTIALS_FOLDER))),
    }
    ranks = [
        started(command, topology.first_rank + number, shared | rank_variables(topology, number, scratch, temporary))
        for number in range(topology.per_node)
    ]
    for rank in ranks:
        rank.listen()
    return Pod(run, topology, ranks, beats, scratch)


def first_cause(pod: Pod) -> RankExit | Stall | signal.Signals | None:
    """Watches until all ranks have ended well (None), or until it is known why they will not."""
    while pod.running():
        pod.wait()
        now = time.monotonic()
        if pod.stop_signal is not None:
            return pod.stop_signal
        if found := first_failure(pod.ends, now=now, running=len(pod.running())):
            return found
        beats = [pod.beats.of(number) if rank.status is None else None for number, rank in enumerate(pod.ranks)]
        # Once a rank has failed, the others wait for it: their silence explains nothing.
        if not pod.ends and (late := find_stall(beats, pod.run.watchdog, now, pod.topology.start_seconds)):
            return late
        pod.log_progress()
    return first_failure(pod.ends, now=time.monotonic(), running=0)


def watch_pod(pod: Pod, began: float) -> Report | None:
    """Watches the pod to its end and returns its Report; None if another pod has the result."""
    cause = first_cause(pod)
    if isinstance(cause, Stall):
        pod.dump_stacks()
    # Before the error is built, so that the ranks' last output has arrived.
    pod.stop()
    first_step = pod.beats.of(0).first_step_at
    seconds = first_step - began if first_step else None
    if cause is None:
        return result_of(pod.run, pod.topology, pod.scratch, seconds)
    if isinstance(cause, RankExit):
        error = failure_of(cause, pod.ranks, pod.topology, pod.beats, pod.scratch)
    elif isinstance(cause, Stall):
        error = stalled(cause, pod.ranks, pod.topology)
    else:
        error = stopped(cause, pod.topology, pod.beats)
    return Report(attempt=pod.run.attempt, error=error, seconds_to_first_step=seconds)


@contextmanager
def run_folders() -> Iterator[tuple[Path, Path]]:
    """Creates the scratch folder that PID 1 and its ranks share and the ranks' TMPDIR, and removes both afterwards."""
    parent = os.environ.get(SCRATCH_VARIABLE)
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="sdbench-", dir=parent))
    # Loader processes pass tensors through sockets in TMPDIR, so its path must be short.
    short = len(tempfile.gettempdir()) <= TMPDIR_CHARACTERS
    temporary = Path(tempfile.mkdtemp(prefix="sdbench-", dir=None if short else "/tmp"))  # noqa: S108 - a random name
    try:
        yield scratch, temporary
    finally:
        shm_cleanup.remove_those_of(temporary)
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def run_attempt(command: Sequence[str]) -> Report | None:
    """Runs this pod's part of an Attempt and returns its Report; None if another pod has the result."""
    began = time.monotonic()
    try:
        run = run_in(os.environ)
        topology = topology_in(os.environ, run.devices)
    except LaunchRefused as refused:
        return refusal(str(refused))
    # A pod has its /dev/shm to itself; a workstation's other runs share it.
    if os.getpid() == 1:
        shm_cleanup.remove_all()
    else:
        shm_cleanup.remove_unused()
    say(f"launch: {run.attempt}: {topology.per_node} of {run.devices} ranks in this pod")
    with run_folders() as (scratch, temporary):
        return watch_pod(start_pod(run, topology, scratch, temporary, command), began)


def run_pod() -> None:
    """Runs the pod to its end, writes the Report, and exits with the code of the first cause."""
    arguments = sys.argv[1:]
    command = arguments[arguments.index("--") + 1 :] if "--" in arguments else list(TRAINER)
    # Blocked before the first rank starts, so that none is lost: `Pod.wait` receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    report = run_attempt(command)
    if report is None:
        return
    # Written in place: a termination message is a mounted file, which cannot be replaced.
    place = Path(os.environ.get(REPORT_VARIABLE, "/dev/termination-log"))
    try:
        place.write_text(message(report))
    except OSError as error:
        say(f"launch: cannot write the report to {place}: {error}")
    if report.error is not None:
        last = report.error.tail.splitlines()[-1] if report.error.tail else ""
        say(f"launch: exit {report.error.code}, {report.error.where}: {last}")
        sys.exit(report.error.code)


if __name__ == "__main__":
    run_pod()
