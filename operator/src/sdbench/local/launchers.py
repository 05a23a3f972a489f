"""Runs each Attempt as one launcher process in its own session, with all devices as its ranks.

started ──exit──► ended ──stop──► gone
   └─────stop (SIGTERM, after a grace SIGKILL to the group)──► gone
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sdbench.core.snapshot import CreateJob
from sdbench_trainer.run import RUN_VARIABLE

GRACE_SECONDS = 20.0
"""From SIGTERM to SIGKILL: more than the launcher gives its ranks."""

_TETHER = (sys.executable, "-m", "sdbench.local.parent_death")
_LAUNCHER = (sys.executable, "-m", "sdbench_trainer.launch")


@dataclass
class AttemptProcess:
    """One Attempt's process, from its start until its devices are free."""

    start: CreateJob
    uid: str
    created_at: datetime
    process: subprocess.Popen[bytes]
    report: Path
    log: Path
    metrics_port: int
    stop_asked: float | None = field(default=None)
    """Monotonic time of the SIGTERM."""

    @property
    def exit_code(self) -> int | None:
        """As a shell shows it: 128 + n when signal n ended the launcher; None while it runs."""
        if self.process.returncode is None and _has_ended(self.process.pid):
            # While the leader is not reaped its number cannot belong to another group.
            _kill_group(self.process.pid)
            self.process.wait()
        code = self.process.returncode
        return 128 - code if code is not None and code < 0 else code

    @property
    def alive(self) -> bool:
        return self.exit_code is None


class ProcessPool:
    """The launchers of one local run; `folder` takes their logs and Reports."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._launchers: dict[str, AttemptProcess] = {}

    @property
    def launchers(self) -> tuple[AttemptProcess, ...]:
        """Those that were started and not yet stopped."""
        return tuple(self._launchers.values())

    def begin(self, start: CreateJob, now: datetime) -> None:
        """Start an Attempt's launcher; an Attempt that exists is left as it is."""
        if start.name in self._launchers:
            return
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log, report = logs / f"{start.name}.log", logs / f"{start.name}.report.json"
        report.unlink(missing_ok=True)
        port = _free_port()
        environment = launcher_environment(self._environment, start, report, port)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_TETHER, str(os.getpid()), *_LAUNCHER],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        uid = f"process-{process.pid}-{now:%Y%m%dT%H%M%S%f}"
        self._launchers[start.name] = AttemptProcess(start, uid, now, process, report, log, port)

    def stop(self, name: str) -> None:
        """Ask a launcher to end; `sweep` forgets it when it has."""
        launcher = self._launchers.get(name)
        if launcher is not None and launcher.stop_asked is None:
            launcher.stop_asked = time.monotonic()
            if launcher.alive:
                os.kill(launcher.process.pid, signal.SIGTERM)

    def sweep(self, patience: float = GRACE_SECONDS) -> None:
        """Kill what outstayed its grace; forget the stopped launchers of which no process is left."""
        for name, launcher in tuple(self._launchers.items()):
            if launcher.stop_asked is None:
                continue
            if launcher.alive and time.monotonic() - launcher.stop_asked > patience:
                _kill_group(launcher.process.pid)
                launcher.process.wait()
            if not launcher.alive:
                del self._launchers[name]

    def close(self) -> None:
        """End everything now: what is still here did not end by the decisions."""
        for launcher in self.launchers:
            self.stop(launcher.start.name)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._launchers and time.monotonic() < deadline:
            self.sweep()
            time.sleep(0.05)
        self.sweep(patience=0.0)


def launcher_environment(inherited: Mapping[str, str], start: CreateJob, report: Path, port: int) -> dict[str, str]:
    """What a launcher is told: the pod's variables for one node that holds all devices."""
    return {
        **inherited,
        RUN_VARIABLE: start.run.model_dump_json(by_alias=True, exclude_none=True),
        "PET_NNODES": "1",
        "PET_NODE_RANK": "0",
        "PET_NPROC_PER_NODE": str(start.run.devices),
        "SDBENCH_REPORT": str(report),
        "SDBENCH_METRICS_PORT": str(port),
    }


def _free_port() -> int:
    """A TCP port of the loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(leader: int) -> None:
    """The launcher leads its own group: nothing of ours, or of others, is in it."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
