"""Builds one folder of shards from a source: part by part, in several workers, resumable after an interruption.

Everything is written to .OUT.unfinished beside OUT, which appears only once it is complete. A second call with the same
arguments keeps the finished parts. The shards and their order do not depend on the number of workers.
"""

import fcntl
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdbench_trainer.data.index import INDEX, KEY
from sdbench_trainer.shards.encoders import Encoder, Jpegs
from sdbench_trainer.shards.items import Columns, LeftOut, ShardsRefused
from sdbench_trainer.shards.parts import RECORD, Part, PartRecord, write_part
from sdbench_trainer.shards.progress import ignore_progress
from sdbench_trainer.shards.sources import Format, PhotoSource, source_at
from sdbench_trainer.shards.workers import in_order

ARGUMENTS = "build.json"
LOCK = ".lock"
LEFT_OUT = "left-out.jsonl"
MAX_NAMED = 10
"""At most this many of the entries that were left out are kept to be shown."""


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and where."""

    source: str
    out: Path
    format: Format | None = None
    columns: Columns = field(default_factory=Columns)
    encoder: Encoder = field(default_factory=Jpegs)
    overwrite: bool = False

    @property
    def unfinished(self) -> Path:
        """The folder that becomes OUT once the build is complete."""
        return self.out.with_name(f".{self.out.name}.unfinished")

    def arguments(self, source: PhotoSource) -> dict[str, Any]:
        """What must be equal for one build to continue another."""
        return {
            "source": str(Path(self.source).resolve()),
            "format": source.format.value,
            "columns": [self.columns.file, self.columns.caption],
            # The number of samples is not known yet, and zero in both builds.
            "samples": self.encoder.description(0).document(),
        }


@dataclass(frozen=True)
class BuildResult:
    """How much of a source became samples."""

    format: Format
    written: int
    without_caption: int
    left_out: Counter[str]
    """How many entries did not become a sample, by reason."""
    first_left_out: tuple[LeftOut, ...]


def build_shards(
    request: BuildRequest, *, workers: int = 1, report_progress: Callable[[int], None] = ignore_progress
) -> BuildResult:
    """Writes a source's photographs as shards. Raises ShardsRefused, WorkerLost, OSError."""
    if request.out.exists() and not request.out.is_dir():
        raise ShardsRefused(f"OUT {request.out} is a file. Name a folder.")
    if request.out.is_dir() and any(request.out.iterdir()) and not request.overwrite:
        raise ShardsRefused(f"OUT {request.out} is not empty. Name another folder, or give --overwrite to replace it.")
    # OUT may lie inside SOURCE.
    exclude = frozenset((request.out.resolve(), request.unfinished.resolve()))
    source = source_at(request.source, request.columns, request.format, exclude)
    with _build_folder(request, request.arguments(source)) as folder:
        names, result = _build_parts(request, source, folder, workers, report_progress)
        if not result.written:
            shutil.rmtree(folder, ignore_errors=True)
            if not result.first_left_out:
                raise ShardsRefused(f"SOURCE {request.source} has no images. Name a source that has some.")
            first = result.first_left_out[0]
            raise ShardsRefused(
                f"No entry of {request.source} can become a sample (left out: {result.left_out.total()}). "
                f"The first is {first.name}: {first.reason.with_detail(first.detail)}."
            )
        _write_index(folder, names, request.encoder.description(result.written).document())
        # OUT is replaced only now, when nothing can be refused any more.
        if request.out.exists():
            shutil.rmtree(request.out)
        folder.rename(request.out)
        for name in (ARGUMENTS, LOCK):
            (request.out / name).unlink()
    return result


@contextmanager
def _build_folder(request: BuildRequest, arguments: dict[str, Any]) -> Iterator[Path]:
    """The unfinished folder, locked, with only those parts that have the same arguments. Raises ShardsRefused."""
    folder = request.unfinished
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        # The lock ends with its process, so a killed build leaves none behind.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            busy = f"Another process is building {request.out}. Wait for it, or name another OUT."
            raise ShardsRefused(busy) from error
        try:
            before = json.loads((folder / ARGUMENTS).read_text())
        except (OSError, ValueError):
            before = None  # unknown arguments, so none of the parts can be kept
        if before is not None and before != arguments and not request.overwrite:
            changed = ", ".join(name for name in arguments if arguments[name] != before.get(name))
            raise ShardsRefused(
                f"{folder} holds an interrupted build whose arguments differ ({changed}). "
                "Give the same arguments to continue it, or --overwrite to start over."
            )
        if before != arguments:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
        (folder / ARGUMENTS).write_text(json.dumps(arguments))
        yield folder


def _build_parts(
    request: BuildRequest, source: PhotoSource, folder: Path, workers: int, report_progress: Callable[[int], None]
) -> tuple[list[str], BuildResult]:
    """Writes the parts that are missing; returns the names of all parts, and the sum of their records."""
    parts = (Part(number, content) for number, content in enumerate(source.contents()))
    written = without_caption = 0
    reasons: Counter[str] = Counter()
    names: list[str] = []
    first: list[LeftOut] = []
    # Every build writes the whole list, from the records of the finished parts, too.
    with (folder / LEFT_OUT).open("w", encoding="utf-8") as lines:
        for name, record in in_order(partial(_build_part, folder=folder, encoder=request.encoder), parts, workers):
            names.append(name)
            written += record.written
            without_caption += record.without_caption
            for skipped in record.left_out:
                lines.write(json.dumps(asdict(skipped), ensure_ascii=False, separators=(",", ":")) + "\n")
                reasons[skipped.reason.value] += 1
            first += record.left_out[: MAX_NAMED - len(first)]
            report_progress(record.written + len(record.left_out))
    return names, BuildResult(source.format, written, without_caption, reasons, tuple(first))


# Top-level, because worker processes receive it by its name.
def _build_part(part: Part, folder: Path, encoder: Encoder) -> tuple[str, PartRecord]:
    """The name and the record of a part, which is written unless it is complete and unchanged."""
    with suppress(OSError, ValidationError):
        record = PartRecord.model_validate_json((folder / part.name / RECORD).read_text())
        if record.digest == part.digest:
            return part.name, record
    return part.name, write_part(part, folder, encoder)


def _write_index(folder: Path, names: list[str], description: dict[str, Any]) -> None:
    """Writes one index of all parts, and removes the folders of parts that no longer belong to the source."""
    for obsolete in {path.name for path in folder.iterdir() if path.is_dir()} - set(names):
        shutil.rmtree(folder / obsolete)
    # Streaming's merge_index would copy each part's index and drop the description.
    shards = []
    for name in names:
        for shard in json.loads((folder / name / INDEX).read_text())["shards"]:
            # The files stay in the folders of their parts; zip_data is null in uncompressed shards.
            for kind in ("raw_data", "zip_data"):
                if shard.get(kind):
                    shard[kind]["basename"] = f"{name}/{shard[kind]['basename']}"
            shards.append(shard)
    (folder / INDEX).write_text(json.dumps({"version": 2, "shards": shards, KEY: description}))
