"""Runs each Attempt as one launcher process in its own session, with all of its devices as ranks.

started ──exit──► ended ──stop──► gone
   └─────stop (SIGTERM, after a grace period SIGKILL to the group)──► gone
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sdbench.core.snapshot import CreateJob
from sdbench_trainer.run import RUN_VARIABLE

# From SIGTERM to SIGKILL: longer than the launcher's own grace period for its ranks.
GRACE_SECONDS = 20.0

_PARENT_DEATH = (sys.executable, "-m", "sdbench.local.parent_death")
_LAUNCHER = (sys.executable, "-m", "sdbench_trainer.launch")


@dataclass
class AttemptProcess:
    """The launcher process of one Attempt, from its start until its devices are free."""

    job: CreateJob
    uid: str
    created_at: datetime
    process: subprocess.Popen[bytes]
    report: Path
    log: Path
    metrics_port: int
    stopped_at: float | None = None
    """Monotonic time of the SIGTERM."""

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell shows it: 128 + n if signal n ended the launcher; None while it runs."""
        pid, ended = self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        if self.process.returncode is None and os.waitid(os.P_PID, pid, ended) is not None:
            # The ranks go before the launcher is reaped: only until then is its number sure to name this group.
            _kill_group(pid)
            self.process.wait()
        # Popen returns -n for signal n.
        code = self.process.returncode
        return 128 - code if code is not None and code < 0 else code

    @property
    def alive(self) -> bool:
        return self.exit_code is None


class ProcessPool:
    """The launcher processes of one local run; `folder` takes their logs and Reports."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._attempts: dict[str, AttemptProcess] = {}

    @property
    def attempts(self) -> tuple[AttemptProcess, ...]:
        """The Attempts that were started and not yet reaped."""
        return tuple(self._attempts.values())

    def start(self, job: CreateJob, now: datetime) -> None:
        """Starts an Attempt's launcher, unless the Attempt exists."""
        if job.name in self._attempts:
            return
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log, report = logs / f"{job.name}.log", logs / f"{job.name}.report.json"
        # A Report of an earlier run would count as this Attempt's.
        report.unlink(missing_ok=True)
        # The kernel picks a free port, and rank 0 takes it once the probe has closed.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_PARENT_DEATH, str(os.getpid()), *_LAUNCHER],
                env=launcher_environment(self._environment, job, report, port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the terminal's foreground group, and only this program may decide on a stop.
                start_new_session=True,
            )
        uid = f"process-{process.pid}-{now:%Y%m%dT%H%M%S%f}"
        self._attempts[job.name] = AttemptProcess(job, uid, now, process, report, log, port)

    def stop(self, name: str) -> None:
        """Sends SIGTERM to a launcher; `reap` forgets it once it has ended."""
        attempt = self._attempts.get(name)
        if attempt is not None and attempt.stopped_at is None:
            attempt.stopped_at = time.monotonic()
            if attempt.alive:
                os.kill(attempt.process.pid, signal.SIGTERM)

    def reap(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Kills each stopped launcher whose grace period is over, and forgets those that have ended."""
        for name, attempt in tuple(self._attempts.items()):
            if attempt.stopped_at is None:
                continue
            if attempt.alive and time.monotonic() - attempt.stopped_at > grace_seconds:
                # SIGKILL leaves the launcher no chance to stop its ranks, so it goes to them all.
                _kill_group(attempt.process.pid)
                attempt.process.wait()
            if not attempt.alive:
                del self._attempts[name]

    def close(self) -> None:
        """Stops everything that still runs, which only happens after an error."""
        for name in tuple(self._attempts):
            self.stop(name)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._attempts and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.05)
        self.reap(grace_seconds=0.0)


def launcher_environment(inherited: Mapping[str, str], job: CreateJob, report: Path, port: int) -> dict[str, str]:
    """A launcher's environment: the pod's variables for one node that holds all devices."""
    return {
        **inherited,
        RUN_VARIABLE: job.run.model_dump_json(by_alias=True, exclude_none=True),
        "PET_NNODES": "1",
        "PET_NODE_RANK": "0",
        "PET_NPROC_PER_NODE": str(job.run.devices),
        "SDBENCH_REPORT": str(report),
        "SDBENCH_METRICS_PORT": str(port),
    }


def _kill_group(leader: int) -> None:
    """Kills a launcher's process group, which holds nothing but the launcher and its ranks."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
