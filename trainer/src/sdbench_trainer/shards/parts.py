"""Writes one part as MDS shards with a record of what became of it, or finds it done."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from streaming import MDSWriter

from sdbench_trainer.config import Boundary
from sdbench_trainer.data.decode import SkipReason
from sdbench_trainer.shards.encoders import Encoder
from sdbench_trainer.shards.items import Content, LeftOut, Photograph, Rows, read

SHARD_BYTES = 1 << 26
RECORD = "part.json"


class Skipped(Boundary):
    """What did not become a sample."""

    name: str
    reason: SkipReason
    detail: str


class PartRecord(Boundary):
    """What became of a part."""

    digest: str
    written: int = 0
    without_caption: int = 0
    left_out: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Part:
    """A part to be written."""

    number: int
    content: Content

    @property
    def name(self) -> str:
        """Its folder, whose order is that of the source."""
        return f"{self.number:06}"

    @property
    def digest(self) -> str:
        """What it refers to; an interrupted build writes a part anew that now refers to something else."""
        return hashlib.sha256(repr(self.content).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _photographs(content: Content) -> Iterator[Photograph | LeftOut]:
    if isinstance(content, Rows):
        from sdbench_trainer.shards.parquets import read_rows

        return read_rows(content)
    return map(read, content)


def finished(part: Part, folder: Path) -> PartRecord | None:
    """The record of a part that is written already."""
    try:
        record = PartRecord.model_validate_json((folder / part.name / RECORD).read_text())
    except (OSError, ValidationError):
        return None
    return record if record.digest == part.digest else None


def _printable(name: str) -> str:
    """A file's name without what is no character."""
    return name.encode("utf-8", "backslashreplace").decode()


def write(part: Part, folder: Path, encoder: Encoder) -> PartRecord:
    """Write a part into the folder; it appears there when it is whole. Raises OSError."""
    unfinished = folder / f".{part.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    written = without_caption = 0
    left_out = []
    with MDSWriter(columns=encoder.columns, out=str(unfinished), size_limit=SHARD_BYTES) as writer:
        for made in encoder.samples(_photographs(part.content)):
            if isinstance(made, LeftOut):
                left_out.append(Skipped(name=_printable(made.name), reason=made.reason, detail=_printable(made.detail)))
            else:
                writer.write(made.sample)
                written += 1
                without_caption += not made.captioned
    record = PartRecord(digest=part.digest, written=written, without_caption=without_caption, left_out=tuple(left_out))
    (unfinished / RECORD).write_text(record.model_dump_json(by_alias=True))
    shutil.rmtree(folder / part.name, ignore_errors=True)
    unfinished.rename(folder / part.name)
    return record
