"""Writes one part of a source as MDS shards, with a record of the result."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from streaming import MDSWriter

from sdbench_trainer.config import Boundary
from sdbench_trainer.shards.encoders import Encoder
from sdbench_trainer.shards.items import Content, LeftOut, Rows, read

SHARD_BYTES = 1 << 26
RECORD = "part.json"


class PartRecord(Boundary):
    """The stored result of a part."""

    digest: str
    written: int = 0
    without_caption: int = 0
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Part:
    """A part of a source, numbered in the source's order."""

    number: int
    content: Content

    @property
    def name(self) -> str:
        """The name of its folder; the names sort in the source's order."""
        return f"{self.number:06}"

    @property
    def digest(self) -> str:
        """A hash of its references; a resumed build rewrites a part whose references have changed."""
        return hashlib.sha256(repr(self.content).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _printable(name: str) -> str:
    """A name that is valid Unicode; file names may hold arbitrary bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def write_part(part: Part, folder: Path, encoder: Encoder) -> PartRecord:
    """Writes a part into the folder, where it appears once it is complete. Raises OSError."""
    if isinstance(part.content, Rows):
        # Imported late, because the other formats need no pyarrow.
        from sdbench_trainer.shards.parquets import read_rows

        photographs = read_rows(part.content)
    else:
        photographs = map(read, part.content)
    unfinished = folder / f".{part.name}"
    # What an interrupted build has left of this part.
    shutil.rmtree(unfinished, ignore_errors=True)
    written = without_caption = 0
    left_out = []
    with MDSWriter(columns=encoder.columns, out=str(unfinished), size_limit=SHARD_BYTES) as writer:
        for result in encoder.samples(photographs):
            if isinstance(result, LeftOut):
                left_out.append(LeftOut(_printable(result.name), result.reason, _printable(result.detail)))
            else:
                writer.write(result.sample)
                written += 1
                without_caption += not result.captioned
    record = PartRecord(digest=part.digest, written=written, without_caption=without_caption, left_out=tuple(left_out))
    (unfinished / RECORD).write_text(record.model_dump_json(by_alias=True))
    # A finished part with another digest, whose photographs have changed since.
    shutil.rmtree(folder / part.name, ignore_errors=True)
    unfinished.rename(folder / part.name)
    return record
