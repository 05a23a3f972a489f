"""Starts, reads, reaps and kills the rank processes of a pod."""

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
"""Prefix of the line in which a C++ program says which uncaught exception aborts it."""

_stdout = threading.Lock()


def say(line: str) -> None:
    """Writes one whole line to standard output."""
    # A reader that has gone away must not end a run.
    with _stdout, contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@dataclass
class Rank:
    """One rank's process."""

    number: int
    process: subprocess.Popen[bytes]
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    status: int | None = None
    """Its exit status, or minus the signal that killed it; None while it runs."""
    reader: threading.Thread | None = None
    uncaught: str = ""
    """Message of the C++ exception that aborted it, kept apart because the stacks after it may fill the tail."""

    def listen(self) -> None:
        """Starts to copy its output to standard output, each line with its rank in front; rank 0's lines unchanged."""
        self.reader = threading.Thread(target=self._copy, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def _copy(self, pipe: IO[bytes]) -> None:
        prefix = f"[rank {self.number}] " if self.number else ""
        for line in pipe:
            text = line.decode(errors="replace").rstrip("\n")
            self.tail.append(text)
            if text.startswith(UNCAUGHT):
                self.uncaught = text.removeprefix(UNCAUGHT)
            say(prefix + text)

    def output(self) -> str:
        """Its last lines; of a rank that has ended, once they have arrived."""
        self._drain()
        return "\n".join(list(self.tail))

    def last_words(self) -> str:
        """Message of the C++ exception that aborted it; empty if none did."""
        self._drain()
        return self.uncaught

    def _drain(self) -> None:
        if self.status is not None and self.reader is not None:
            self.reader.join(DRAIN_SECONDS)

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Sends a signal to the process, or to its whole session, unless it has ended."""
        if self.status is None:
            (os.killpg if group else os.kill)(self.process.pid, number)


def started(command: Sequence[str], number: int, environment: Mapping[str, str]) -> Rank:
    """Starts a rank. Call `listen` only after all ranks have been started: threads and fork do not mix."""

    def before_exec() -> None:
        die_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A session of its own, so that the processes of its loader can be killed with it.
        start_new_session=True,
        preexec_fn=before_exec,  # safe: no thread runs yet
    )
    return Rank(number, process)


def reap(ranks: Sequence[Rank]) -> list[Rank]:
    """Reaps all children that have ended and returns the ranks among them.

    PID 1 inherits the orphans of every process in the pod, so there are other children than ranks.
    """
    by_pid = {rank.process.pid: rank for rank in ranks if rank.status is None}
    ended: list[Rank] = []
    while True:
        try:
            # WNOWAIT leaves the zombie, whose process id cannot be given to another process before its session is dead.
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return ended
        if found is None:
            return ended
        rank = by_pid.get(found.si_pid)
        if rank is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(found.si_pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(found.si_pid, 0)[1])
        if rank is not None:
            rank.status = rank.process.returncode = status
            ended.append(rank)
