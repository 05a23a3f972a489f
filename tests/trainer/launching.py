"""Runs PID 1 in a process of its own, with the environment variables of a pod and its Report in a file."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdbench_trainer.report import Report, report_in

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
TIMEOUT_SECONDS = 480.0
SHORT = tempfile.gettempdir()
"""A folder with a path short enough for sockets, which pytest's folders do not have."""

TINY = {
    "model": "tiny",
    "imageSize": 64,
    "globalBatchSize": 4,
    "deviceMicrobatchSize": 4,
    "precision": "fp32",
    "window": {"warmupBatches": 1, "batches": 3},
}


def run_config(devices: int = 1, trainer: Mapping[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """A RunConfig as JSON-ready values; tiny unless the test overrides it."""
    return {"attempt": "test-1", "devices": devices, "trainer": {**TINY, **(trainer or {})}, **others}


@dataclass(frozen=True)
class Ended:
    """The outcome of a launch."""

    code: int
    report: Report | None
    output: str

    @property
    def error_code(self) -> int | None:
        """The code of the Report's error."""
        return self.report.error.code if self.report and self.report.error else None

    @property
    def tail(self) -> str:
        """The tail of the Report's error."""
        return self.report.error.tail if self.report and self.report.error else ""


@dataclass
class Launch:
    """A running launch."""

    process: subprocess.Popen[str]
    report_file: Path
    output_file: Path
    scratch: Path

    def output(self) -> str:
        """The output so far."""
        return self.output_file.read_text()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until the condition holds; fails if the launch ends first, or after the timeout."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.output()}"
            assert time.monotonic() < deadline, f"no {what}:\n{self.output()}"
            time.sleep(0.02)

    def wait_for_output(self, words: str) -> None:
        """Waits until the launch has printed these words."""
        self.wait_for(lambda: words in self.output(), words)

    def ended(self) -> Ended:
        """Waits for the launch to end."""
        code = self.process.wait(TIMEOUT_SECONDS)
        text = self.report_file.read_text()
        return Ended(code, report_in(text) if text else None, self.output())

    def pids(self, label: str) -> list[int]:
        """The process ids that stub ranks printed as `label PID`."""
        return [int(line.split()[-1]) for line in self.output().splitlines() if f"{label} " in line]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def variables(config: Mapping[str, Any] | str, folder: Path, **changes: str) -> dict[str, str]:
    """The environment variables of a launch in a single pod, without this machine's credentials."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PET_", "SDBENCH_"))}
    devices = 1 if isinstance(config, str) else int(config["devices"])
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "trainer" / "src"), str(ROOT / "tests"))),
        "SDBENCH_RUN": config if isinstance(config, str) else json.dumps(config),
        "SDBENCH_REPORT": str(folder / "report.json"),
        "SDBENCH_SCRATCH": str(folder / "scratch"),
        "SDBENCH_METRICS_PORT": "0",
        "TMPDIR": str(folder / "t"),
        "OMP_NUM_THREADS": "1",
        "PET_NNODES": "1",
        "PET_NODE_RANK": "0",
        "PET_NPROC_PER_NODE": str(devices),
        **changes,
    }


@contextmanager
def launching(config: Mapping[str, Any] | str, *command: str, **changes: str) -> Iterator[Launch]:
    """Starts a launch, and ends it after the block."""
    with tempfile.TemporaryDirectory(prefix="sdbench-test-", dir=SHORT) as name:
        folder = Path(name)
        report = folder / "report.json"
        report.touch()
        (folder / "t").mkdir()
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "sdbench_trainer.launch", *(("--", *command) if command else ())],
                env=variables(config, folder, **changes),
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        try:
            yield Launch(process, report, folder / "output", folder / "scratch")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def launched(config: Mapping[str, Any] | str, *command: str, **changes: str) -> Ended:
    """Runs a launch from start to end."""
    with launching(config, *command, **changes) as launch:
        return launch.ended()


def stub(*behaviour: str) -> Sequence[str]:
    """The command of a rank without torch, programs/stub.py."""
    return (sys.executable, str(PROGRAMS / "stub.py"), *behaviour)


def program(name: str, *arguments: str) -> Sequence[str]:
    """The command of a rank with torch, one of programs/."""
    return (sys.executable, str(PROGRAMS / f"{name}.py"), *arguments)


def pod(rank: int, port: int) -> dict[str, str]:
    """The environment variables of one of two pods that meet on this machine."""
    job = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_MASTER_ADDR": "127.0.0.1"}
    return {**job, "PET_NODE_RANK": str(rank), "PET_MASTER_PORT": str(port)}
