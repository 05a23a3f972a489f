"""Starts, listens to, reaps and kills the rank processes of a pod.

Each rank leads a session of its own, so that its loader's processes end with it, and is killed by the kernel when PID 1
ends. PID 1 also inherits strangers' zombies and reaps them.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from sdbench_trainer.parent_death import die_with_parent

TAIL_LINES = 60
DRAIN_SECONDS = 1.0
UNCAUGHT = "  what():  "
"""How a C++ program begins the line that says which exception aborts it."""

_stdout = threading.Lock()


def say(line: str) -> None:
    """One whole line on the standard output; nobody reading it must not stop a run."""
    with _stdout, contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _before_exec() -> None:
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


@dataclass
class Rank:
    """One rank's process."""

    number: int
    process: subprocess.Popen[bytes]
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    status: int | None = None
    """How it ended: an exit status, or minus the signal; None while it runs."""
    reader: threading.Thread | None = None
    uncaught: str = ""
    """What the exception said that aborted it: its stacks, which come after, may be longer than the tail."""

    def listen(self) -> None:
        """Begin to copy its output; rank 0's lines as they are, the others' with their rank before them."""
        self.reader = threading.Thread(target=self._copy, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def _copy(self, pipe: IO[bytes]) -> None:
        prefix = f"[rank {self.number}] " if self.number else ""
        for line in pipe:
            text = line.decode(errors="replace").rstrip("\n")
            self.tail.append(text)
            self.uncaught = text.removeprefix(UNCAUGHT) if text.startswith(UNCAUGHT) else self.uncaught
            say(prefix + text)

    def output(self) -> str:
        """Its last lines, once they have arrived."""
        self._drain()
        return "\n".join(list(self.tail))

    def last_words(self) -> str:
        """What the exception said that aborted it; empty if none did."""
        self._drain()
        return self.uncaught

    def _drain(self) -> None:
        if self.status is not None and self.reader is not None:
            self.reader.join(DRAIN_SECONDS)

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to it, or to its whole session, unless it has ended."""
        if self.status is None:
            (os.killpg if group else os.kill)(self.process.pid, number)


def started(command: Sequence[str], number: int, environment: Mapping[str, str]) -> Rank:
    """A rank that runs; call `listen` after all have been started, since threads and fork do not mix."""
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_before_exec,  # safe: no thread runs yet
    )
    return Rank(number, process)


def _next_ended() -> int | None:
    """The process id of a child that ended and is not reaped yet."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _end_session(leader: int) -> None:
    """Kill what a rank started; asked while its process id is still taken by the zombie."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def reap(ranks: Sequence[Rank]) -> list[Rank]:
    """The ranks that ended since the last call, reaped, as are all other children."""
    by_pid = {rank.process.pid: rank for rank in ranks if rank.status is None}
    ended = []
    while (pid := _next_ended()) is not None:
        rank = by_pid.get(pid)
        if rank is not None:
            _end_session(pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if rank is not None:
            rank.status = rank.process.returncode = status
            ended.append(rank)
    return ended
