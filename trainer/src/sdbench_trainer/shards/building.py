"""Builds one folder of shards from a source, in parts, by several workers, and resumes after a stop.

Everything is written to .OUT.unfinished beside OUT; a second call with the same arguments finds the whole parts and
goes on. OUT appears when all is written, or not at all. Neither the order nor the shards depend on the workers.
"""

import fcntl
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from sdbench_trainer.data.index import KEY
from sdbench_trainer.shards.encoders import Encoder, Jpegs
from sdbench_trainer.shards.items import Columns, ShardsRefused
from sdbench_trainer.shards.parts import Part, PartRecord, Skipped, finished, write
from sdbench_trainer.shards.sources import Format, PhotoSource, source_at
from sdbench_trainer.shards.workers import in_order

ARGUMENTS = "build.json"
LOCK = ".lock"
LEFT_OUT = "left-out.jsonl"
SHOWN = 10


@dataclass(frozen=True)
class Order:
    """What is to be built."""

    source: str
    out: Path
    format: Format | None = None
    columns: Columns = field(default_factory=Columns)
    encoder: Encoder = field(default_factory=Jpegs)
    overwrite: bool = False

    @property
    def unfinished(self) -> Path:
        """Where it is built."""
        return self.out.with_name(f".{self.out.name}.unfinished")

    def arguments(self, source: PhotoSource) -> dict[str, Any]:
        """What two calls must have in common for one to continue the other."""
        return {
            "source": str(Path(self.source).resolve()),
            "format": source.format.value,
            "columns": [self.columns.file, self.columns.caption],
            "samples": self.encoder.description(0).document(),
        }


@dataclass(frozen=True)
class Built:
    """What became of a source."""

    format: Format
    written: int
    without_caption: int
    left_out: Counter[str]
    first: tuple[Skipped, ...]
    """Some of what was left out, to be shown."""


def _require_room(order: Order) -> None:
    if order.out.exists() and not order.out.is_dir():
        raise ShardsRefused(f"{order.out} is a file.")
    if order.out.is_dir() and any(order.out.iterdir()) and not order.overwrite:
        raise ShardsRefused(f"{order.out} is not empty; name another folder, or give --overwrite.")


@contextmanager
def _workshop(order: Order, arguments: dict[str, Any]) -> Iterator[Path]:
    """The unfinished folder, ours alone and with parts of the same arguments only. Raises ShardsRefused."""
    folder = order.unfinished
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        _lock(lock, order)
        before = _arguments_in(folder / ARGUMENTS)
        if before is not None and before != arguments and not order.overwrite:
            changed = ", ".join(name for name in arguments if arguments[name] != before.get(name))
            raise ShardsRefused(
                f"{folder} holds an interrupted build with another {changed}; "
                "give the same arguments to continue it, or --overwrite to begin anew."
            )
        if before != arguments:
            _clear(folder)
        (folder / ARGUMENTS).write_text(json.dumps(arguments))
        yield folder


def _arguments_in(file: Path) -> dict[str, Any] | None:
    """What an interrupted build was asked; None where that is not known, and nothing of it can be used."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return None


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _lock(lock: IO[str], order: Order) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ShardsRefused(f"Another process is building {order.out}.") from error


def _part(part: Part, folder: Path, encoder: Encoder) -> tuple[str, PartRecord]:
    """A part's folder and record, of before or of now."""
    return part.name, finished(part, folder) or write(part, folder, encoder)


def _shards(folder: Path, name: str) -> list[dict[str, Any]]:
    """The shards of one part, their files named as seen from the folder."""
    shards = json.loads((folder / name / "index.json").read_text())["shards"]
    for shard in shards:
        for kind in ("raw_data", "zip_data"):
            if shard.get(kind):
                shard[kind]["basename"] = f"{name}/{shard[kind]['basename']}"
    return list(shards)


def _merge(folder: Path, parts: list[str], order: Order, written: int) -> None:
    """One index of all parts. Streaming's merge_index would copy each index and leave out the description."""
    shards = [shard for name in parts for shard in _shards(folder, name)]
    for stranger in {path.name for path in folder.iterdir() if path.is_dir()} - set(parts):
        shutil.rmtree(folder / stranger)
    index = {"version": 2, "shards": shards, KEY: order.encoder.description(written).document()}
    (folder / "index.json").write_text(json.dumps(index))


def _all_parts(
    order: Order, source: PhotoSource, folder: Path, workers: int, tell: Callable[[int], None]
) -> tuple[list[str], Built]:
    parts = (Part(number, content) for number, content in enumerate(source.contents()))
    written = without_caption = 0
    reasons: Counter[str] = Counter()
    names: list[str] = []
    first: list[Skipped] = []
    with (folder / LEFT_OUT).open("w", encoding="utf-8") as lines:
        for name, record in in_order(partial(_part, folder=folder, encoder=order.encoder), parts, workers):
            names.append(name)
            written += record.written
            without_caption += record.without_caption
            for skipped in record.left_out:
                lines.write(skipped.model_dump_json() + "\n")
                reasons[skipped.reason.value] += 1
            first += record.left_out[: SHOWN - len(first)]
            tell(record.written + len(record.left_out))
    return names, Built(source.format, written, without_caption, reasons, tuple(first))


def _require_samples(built: Built, order: Order) -> None:
    if built.written:
        return
    shutil.rmtree(order.unfinished, ignore_errors=True)
    if not built.first:
        raise ShardsRefused(f"There is no image in {order.source}.")
    one = built.first[0]
    raise ShardsRefused(
        f"None of {built.left_out.total()} things in {order.source} becomes a sample; "
        f"the first: {one.name}: {one.reason.value} {one.detail}".rstrip()
    )


def build_order(order: Order, *, workers: int = 1, tell: Callable[[int], None] = lambda _: None) -> Built:
    """Write a source's photographs as shards. Raises ShardsRefused, WorkerLost, OSError."""
    _require_room(order)
    own = frozenset((order.out.resolve(), order.unfinished.resolve()))
    source = source_at(order.source, order.columns, order.format, own)
    with _workshop(order, order.arguments(source)) as folder:
        names, built = _all_parts(order, source, folder, workers, tell)
        _require_samples(built, order)
        _merge(folder, names, order, built.written)
        if order.out.exists():
            shutil.rmtree(order.out)
        folder.rename(order.out)
        for name in (ARGUMENTS, LOCK):
            (order.out / name).unlink()
    return built


def build(folder: Path, out: Path, *, overwrite: bool) -> Built:
    """Write a folder's photographs as shards, in this process. Raises ShardsRefused."""
    return build_order(Order(str(folder), out, overwrite=overwrite))
