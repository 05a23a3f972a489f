"""References to the photographs and captions of a source, grouped into parts, and how to read them."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

from sdbench_trainer.data.decode import SkipReason

PART_ITEMS = 1_024
"""The most photographs in a part: each worker repeats at most this many after an interruption."""

_IMAGES = "jpg jpeg jpe jfif png apng webp gif bmp dib tif tiff avif jp2 mpo ppm pgm pbm ico"
IMAGE_SUFFIXES = frozenset(f".{name}" for name in _IMAGES.split())


class ShardsRefused(Exception):
    """Raised if nothing can be built or checked; its text says what happened and what to do."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns of tables, and of the caption's key in JSON files."""

    file: str = "file"
    caption: str = "caption"

    def require_caption(self, path: Path, names: Collection[str]) -> None:
        """Raises ShardsRefused if the caption's column was named, but is not among the columns of a file."""
        if self.caption not in names and self.caption != Columns.caption:
            raise ShardsRefused(f"{path} has no column {self.caption}. Name the right one with --caption-column.")


@dataclass(frozen=True)
class File:
    """A whole file."""

    path: str

    def read(self) -> bytes:
        """The bytes of the file. Raises OSError."""
        return Path(self.path).read_bytes()


@dataclass(frozen=True)
class Member:
    """A member of an archive, as a range of the archive's bytes."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes of the member. Raises OSError."""
        with Path(self.path).open("rb") as archive:
            archive.seek(self.offset)
            return archive.read(self.size)


@dataclass(frozen=True)
class Item:
    """A reference to a photograph. Its caption is a text, or a .txt or .json file that holds it."""

    name: str
    place: File | Member
    caption: str | File = ""
    column: str = Columns.caption
    """The key of the caption in a .json file."""


@dataclass(frozen=True)
class LeftOut:
    """An entry of a source that does not become a sample, and why."""

    name: str
    reason: SkipReason
    detail: str = ""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of one row group of a Parquet file."""

    path: str
    group: int
    start: int
    stop: int
    image: str
    caption: str | None
    key: str | None


Found = Item | LeftOut
Content = tuple[Found, ...] | Rows
"""The content of one part."""


@dataclass(frozen=True)
class Photograph:
    """A photograph in memory, in its encoded form."""

    name: str
    content: bytes
    caption: str


def in_parts(found: Iterable[Found]) -> Iterator[Content]:
    """Parts of up to PART_ITEMS; where one ends depends on the source alone, so that a build can be resumed."""
    remaining = iter(found)
    while part := tuple(islice(remaining, PART_ITEMS)):
        yield part


def caption_of(value: Any) -> str:
    """A caption as text: the first of a list, the empty text if there is none."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    # pandas writes a missing text as NaN.
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    # JSON may hold halves of surrogate pairs, which UTF-8 cannot.
    return str(value).encode("utf-8", "replace").decode().strip()


def caption_in_json(text: str | bytes, column: str) -> str:
    """The caption in a JSON object; empty if there is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    return caption_of(document.get(column)) if isinstance(document, Mapping) else ""


def read(found: Found) -> Photograph | LeftOut:
    """Reads the photograph that an item refers to."""
    if isinstance(found, LeftOut):
        return found
    try:
        content, caption = found.place.read(), found.caption
        if isinstance(caption, File):
            text = caption.read().decode("utf-8-sig", "replace")
            in_json = caption.path.lower().endswith(".json")
            caption = caption_in_json(text, found.column) if in_json else caption_of(text)
        return Photograph(found.name, content, caption)
    except FileNotFoundError:
        return LeftOut(found.name, SkipReason.FILE_UNREADABLE, "the file does not exist")
    except OSError as error:
        return LeftOut(found.name, SkipReason.FILE_UNREADABLE, error.strerror or str(error))
