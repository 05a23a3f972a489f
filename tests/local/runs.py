"""Starts a local run as a user does, reads its output and sends it signals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join((str(ROOT / "operator/src"), str(ROOT / "trainer/src")))

QUESTION = """
apiVersion: sdbench.dev/v1alpha1
kind: StableDiffusionBenchmark
metadata: {{name: tiny}}
spec:
  devices: {{counts: {counts}, perPod: 1, hourlyPrice: "2.00"}}
  repeats: {{min: {repeats}}}
  trainer:
    model: tiny
    imageSize: 64
    globalBatchSize: 4
    deviceMicrobatchSize: 2
    precision: {precision}
    window: {{warmupBatches: 1, warmupSeconds: {warmup_seconds}, batches: {batches}}}
"""


def question(
    folder: Path,
    counts: str = "[1]",
    repeats: int = 1,
    precision: str = "fp32",
    warmup_seconds: int = 0,
    batches: int = 3,
) -> Path:
    """A file with a Benchmark of the tiny model on synthetic images."""
    file = folder / "question.yaml"
    file.write_text(
        QUESTION.format(
            counts=counts, repeats=repeats, precision=precision, warmup_seconds=warmup_seconds, batches=batches
        )
    )
    return file


def shards(folder: Path) -> Path:
    """Shards of 80 coloured images with captions, built by the trainer's own command."""
    images, built = folder / "images", folder / "shards"
    images.mkdir()
    for number in range(80):
        image = Image.new("RGB", (80, 72), (number * 3, 255 - number * 3, 128))
        image.save(images / f"{number}.jpg")
        (images / f"{number}.txt").write_text(f"colour number {number}")
    build = [sys.executable, "-m", "sdbench_trainer.shards.cli", "shards", "build", str(images), str(built)]
    subprocess.run(build, env=environment(), check=True, capture_output=True, timeout=300)
    return built


def command(*arguments: str | Path) -> list[str]:
    """The command line of this checkout's `sdbench` with these arguments."""
    return [sys.executable, "-m", "sdbench.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    """The environment of the program: this checkout's sources and a width of 120 columns."""
    return {**os.environ, "PYTHONPATH": SOURCES, "COLUMNS": "120"}


def sdbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `sdbench` with these arguments to its end."""
    return subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, timeout=600)


class Running:
    """A run that a test watches and sends signals to."""

    def __init__(self, *arguments: str | Path) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def until(self, matches: Callable[[str], bool]) -> None:
        """Reads its output until a line matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if matches(line):
                return
        raise AssertionError("it ended without a matching line:\n" + "".join(self.lines))

    def send(self, number: int) -> None:
        """Sends a signal to the program, and to none of its children."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Reads the rest of its output, and returns its exit code."""
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)
        return self.process.wait(timeout=120)


def document(results: Path) -> dict[str, Any]:
    """The stored Benchmark."""
    found: dict[str, Any] = json.loads((results / "tiny" / "benchmark.json").read_text())
    return found


def processes_of(results: Path) -> list[str]:
    """The command lines of the live processes that report to this folder."""
    return [
        (entry / "cmdline").read_text().replace("\0", " ")
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and entry.name != str(os.getpid()) and _reports_to(entry, str(results).encode())
    ]


def _reports_to(entry: Path, folder: bytes) -> bool:
    try:
        return b"SDBENCH_REPORT=" + folder in (entry / "environ").read_bytes()
    except OSError:
        return False
