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
    """A process in a process group of its own, with a log file; it may be stopped and started again."""

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
        """Start the process; its log goes on where it was."""
        self._log_began = self.log.stat().st_size
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_dies_with_us(), *map(str, self.command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=direct_environment(),
                start_new_session=True,
            )
        self.run.note(self.process.pid)

    def said(self) -> str:
        """What its log has since it was started last."""
        return self.log.read_bytes()[self._log_began :].decode(errors="replace")

    def log_tail(self) -> str:
        return last_lines(self.log.read_text(errors="replace"))

    def wait_until(self, ready: Callable[[], object], seconds: float = 60) -> None:
        """Return when `ready()` is true; raise with the log's end if the process dies first or the time is over."""

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
        """SIGSTOP to the process group."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to the process group."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self, gently: bool) -> None:
        """End the process group and return when all of it is gone; gently is with a chance to close its files."""
        for number in (signal.SIGTERM, signal.SIGKILL) if gently else (signal.SIGKILL,):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(HarnessError):
                until(self._gone, STOP_SECONDS, f"{self.name} to end")
                return

    def _gone(self) -> bool:
        # A zombie may still have threads that hold its port; it can be waited for only when the last of them has ended.
        return self.process.poll() is not None and not group_alive(self.process.pid)


@contextlib.contextmanager
def daemon(
    run: Run,
    name: str,
    command: Sequence[str | Path],
    gently: bool = False,
) -> Iterator[Daemon]:
    """A running daemon, ended on the way out. Its log is `<name>.log` in the run's folder.

    The end is a kill, since all that a run writes is thrown away, unless `gently` says that files shall survive it.
    """
    started = Daemon(run, name, command)
    try:
        yield started
    finally:
        started.stop(gently)


def direct_environment(**more: str) -> dict[str, str]:
    """This process's environment without proxies: what the cluster talks to is on this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | more


def _dies_with_us() -> tuple[str, ...]:
    """Have the kernel end the daemon when the harness is killed; without setpriv the next run's sweep does it."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
