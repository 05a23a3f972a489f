"""Starts a local run as a person would, reads its lines and sends it signals."""

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
    """A file that asks about the tiny model on synthetic images."""
    file = folder / "question.yaml"
    file.write_text(
        QUESTION.format(
            counts=counts, repeats=repeats, precision=precision, warmup_seconds=warmup_seconds, batches=batches
        )
    )
    return file


def shards(folder: Path) -> Path:
    """Shards of many coloured pictures with captions, made by the trainer's own command."""
    pictures, made = folder / "pictures", folder / "shards"
    pictures.mkdir()
    for number in range(80):
        picture = Image.new("RGB", (80, 72), (number * 3, 255 - number * 3, 128))
        picture.save(pictures / f"{number}.jpg")
        (pictures / f"{number}.txt").write_text(f"colour number {number}")
    build = [sys.executable, "-m", "sdbench_trainer.shards.cli", "shards", "build", str(pictures), str(made)]
    subprocess.run(build, env=environment(), check=True, capture_output=True, timeout=300)
    return made


def command(*arguments: str | Path) -> list[str]:
    """`sdbench` with these arguments, from this checkout."""
    return [sys.executable, "-m", "sdbench.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Of the program: this checkout's sources, a terminal that is none."""
    return {**os.environ, "PYTHONPATH": SOURCES, "COLUMNS": "120"}


def sdbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, timeout=600)


class Running:
    """A run that a test watches and sends signals to."""

    def __init__(self, *arguments: str | Path) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def until(self, said: Callable[[str], bool]) -> None:
        """Read its output until a line says so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if said(line):
                return
        raise AssertionError("it ended without saying so:\n" + "".join(self.lines))

    def send(self, number: int) -> None:
        """Send a signal to the program, and to none of its children."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Read the rest and wait; the exit code."""
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)
        return self.process.wait(timeout=120)


def document(results: Path) -> dict[str, Any]:
    """The stored Benchmark."""
    found: dict[str, Any] = json.loads((results / "tiny" / "benchmark.json").read_text())
    return found


def processes_of(results: Path) -> list[str]:
    """Command lines of the live processes that were told to work for this folder."""
    return [
        (entry / "cmdline").read_text().replace("\0", " ")
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and entry.name != str(os.getpid()) and _told_of(entry, str(results).encode())
    ]


def _told_of(entry: Path, folder: bytes) -> bool:
    try:
        return b"SDBENCH_REPORT=" + folder in (entry / "environ").read_bytes()
    except OSError:
        return False
