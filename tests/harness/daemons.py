"""Starts a server process, watches it until it is ready, and stops it."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.failure import HarnessError, last_lines
from harness.polling import until
from harness.runs import Run, group_alive

STOP_SECONDS = 10


@dataclass
class Daemon:
    """A process in a process group of its own, with a log file; it can be stopped and restarted."""

    run: Run
    name: str
    command: Sequence[str | Path]
    process: subprocess.Popen[bytes] = field(init=False)
    _log_began: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.log.write_bytes(b"")
        self.start()

    @property
    def log(self) -> Path:
        return self.run.folder / f"{self.name}.log"

    def start(self) -> None:
        """Starts the process and appends to its log."""
        self._log_began = self.log.stat().st_size
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_die_with_parent(), *map(str, self.command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=direct_environment(),
                start_new_session=True,
            )
        self.run.note(self.process.pid)

    def output(self) -> str:
        """The log's text since the last start."""
        return self.log.read_bytes()[self._log_began :].decode(errors="replace")

    def log_tail(self) -> str:
        return last_lines(self.log.read_text(errors="replace"))

    def wait_until(self, ready: Callable[[], object], seconds: float = 60) -> None:
        """Returns once `ready()` is true; raises HarnessError with the log's end on a timeout or an early exit."""

        def fact() -> bool:
            self.demand_alive()
            return bool(ready())

        try:
            until(fact, seconds, f"{self.name} to be ready")
        except HarnessError as failure:
            if self.process.poll() is None:
                raise HarnessError(f"{failure}; its log ends with:\n{self.log_tail()}") from failure
            raise

    def demand_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise HarnessError(f"{self.name} ended with exit code {code}; its log ends with:\n{self.log_tail()}")

    def pause(self) -> None:
        """Sends SIGSTOP to the process group."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Sends SIGCONT to the process group."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self, gently: bool) -> None:
        """Ends the process group and waits for all of it; `gently` sends SIGTERM first, so that files are closed."""
        for number in (signal.SIGTERM, signal.SIGKILL) if gently else (signal.SIGKILL,):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(HarnessError):
                until(self._gone, STOP_SECONDS, f"{self.name} to end")
                return

    def _gone(self) -> bool:
        # A zombie's threads may still hold its port; `poll` reaps it only once the last of them has ended.
        return self.process.poll() is not None and not group_alive(self.process.pid)


@contextlib.contextmanager
def daemon(
    run: Run,
    name: str,
    command: Sequence[str | Path],
    gently: bool = False,
) -> Iterator[Daemon]:
    """A running daemon, stopped at the end of the block. Its log is `<name>.log` in the run's folder.

    It is killed, since everything that a run writes is deleted; set `gently` if its files must stay intact.
    """
    started = Daemon(run, name, command)
    try:
        yield started
    finally:
        started.stop(gently)


def direct_environment(**more: str) -> dict[str, str]:
    """This process's environment without proxies, because the cluster's endpoints are on this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | more


def _die_with_parent() -> tuple[str, ...]:
    """A command prefix by which the kernel ends the daemon if the harness is killed.

    Without setpriv it is empty, and the next run's sweep ends the daemon.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
