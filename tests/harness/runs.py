"""Records each run of the harness, and cleans up after runs that were killed."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import cache_folder, say


@dataclass(frozen=True)
class ProcessId:
    """A process, distinguishable from a later one with the same number."""

    pid: int
    started: int

    def alive(self) -> bool:
        return start_time(self.pid) == self.started


@dataclass
class Run:
    """One run: its folder of temporary files, and the processes that it has started, in order."""

    folder: Path
    processes: list[ProcessId] = field(default_factory=list)

    @property
    def record(self) -> Path:
        return cache_folder("runs") / f"{self.folder.name}.json"

    def note(self, pid: int) -> None:
        """Records a process of this run, also on disk."""
        self.processes.append(ProcessId(pid, start_time(pid) or 0))
        self.write()

    def write(self) -> None:
        owner = os.getpid()
        facts = {
            "folder": str(self.folder),
            "owner": [owner, start_time(owner)],
            "processes": [[process.pid, process.started] for process in self.processes],
        }
        passing = self.record.with_suffix(".tmp")
        passing.write_text(json.dumps(facts))
        passing.rename(self.record)


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None if there is no such process or it is a zombie."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return int(fields[19]) if fields else None


def group_alive(group: int) -> bool:
    """Whether a process group has a process that is not a zombie: the parent may reap zombies much later."""
    return any(fields[2] == str(group) for path in Path("/proc").glob("[0-9]*/stat") if (fields := _stat(path)))


def _stat(path: Path) -> list[str]:
    """The fields of a process's stat file from its state on; empty if it is dead."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields


@contextlib.contextmanager
def new_run(kind: str) -> Iterator[Run]:
    """A run with a folder and a record, both deleted at its end."""
    sweep()
    run = Run(Path(tempfile.mkdtemp(prefix=f"sdbench-{kind}-")))
    run.write()
    try:
        yield run
    finally:
        _forget(run)


@contextlib.contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A cache folder for large temporary files. Its name has the owner's process ID, so that `sweep` finds it."""
    owner = os.getpid()
    with tempfile.TemporaryDirectory(
        dir=cache_folder("scratch"), prefix=f"{kind}-{owner}-{start_time(owner)}-"
    ) as folder:
        yield Path(folder)


def _sweep_scratch() -> None:
    for folder in cache_folder("scratch").iterdir():
        _, pid, started, _ = folder.name.split("-", 3)
        if not ProcessId(int(pid), int(started)).alive():
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> tuple[str, ...]:
    """Removes what the runs of dead owners left behind; returns the names of those runs."""
    _sweep_scratch()
    swept = []
    for record in sorted(cache_folder("runs").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            facts = json.loads(record.read_text())
            if not ProcessId(*facts["owner"]).alive():
                say(f"removing what {record.stem} left behind when it was killed")
                _forget(Run(Path(facts["folder"]), [ProcessId(*process) for process in facts["processes"]]))
                swept.append(record.stem)
    return tuple(swept)


def _forget(run: Run) -> None:
    for process in reversed(run.processes):
        if process.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(run.folder, ignore_errors=True)
    run.record.unlink(missing_ok=True)
