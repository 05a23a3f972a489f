"""Defines references to photographs with captions, found in a source before it is read, in parts for the workers."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sdbench_trainer.data.decode import SkipReason

PART_ITEMS = 1_024
"""Most photographs in a part: what an interrupted build may have to do again, for each worker."""

_IMAGES = "jpg jpeg jpe jfif png apng webp gif bmp dib tif tiff avif jp2 mpo ppm pgm pbm ico"
IMAGE_SUFFIXES = frozenset(f".{name}" for name in _IMAGES.split())

T = TypeVar("T")


class ShardsRefused(Exception):
    """Nothing can be written or read; the text is a sentence that says why."""


@dataclass(frozen=True)
class Columns:
    """What the columns of tables, and the keys of JSON beside images, are called."""

    file: str = "file"
    caption: str = "caption"


@dataclass(frozen=True)
class File:
    """A whole file."""

    path: str


@dataclass(frozen=True)
class Member:
    """A part of a file: a member of an archive."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True)
class Item:
    """A photograph that was found; its caption is known, or stands in a file (.txt, or .json with a column)."""

    name: str
    place: File | Member
    caption: str | File = ""
    column: str = "caption"


@dataclass(frozen=True)
class LeftOut:
    """Something that does not become a sample, and why."""

    name: str
    reason: SkipReason
    detail: str = ""

    def document(self) -> dict[str, str]:
        """A line of left-out.jsonl."""
        return {"name": self.name, "reason": self.reason.value, "detail": self.detail}


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
"""What one part holds."""


@dataclass(frozen=True)
class Photograph:
    """A photograph that was read."""

    name: str
    content: bytes
    caption: str


def in_parts(found: Iterable[Found]) -> Iterator[Content]:
    """Parts of PART_ITEMS; their borders follow from the source alone."""
    items = iter(found)
    while part := tuple(islice(items, PART_ITEMS)):
        yield part


def caption_of(value: Any) -> str:
    """A caption as text: the first of several, empty for none."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    if value is None or (isinstance(value, float) and value != value):
        return ""
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace").decode().strip()


def caption_in_json(text: str | bytes, column: str) -> str:
    """The caption in a JSON object; empty where there is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    return caption_of(document.get(column)) if isinstance(document, Mapping) else ""


def _caption(item: Item) -> str:
    if isinstance(item.caption, str):
        return item.caption
    text = Path(item.caption.path).read_bytes().decode("utf-8-sig", "replace")
    return caption_in_json(text, item.column) if item.caption.path.lower().endswith(".json") else caption_of(text)


def _bytes(place: File | Member) -> bytes:
    if isinstance(place, File):
        return Path(place.path).read_bytes()
    with Path(place.path).open("rb") as archive:
        archive.seek(place.offset)
        return archive.read(place.size)


def read(found: Found) -> Photograph | LeftOut:
    """The photograph that an item refers to."""
    if isinstance(found, LeftOut):
        return found
    try:
        return Photograph(found.name, _bytes(found.place), _caption(found))
    except FileNotFoundError:
        return LeftOut(found.name, SkipReason.FILE_UNREADABLE, "there is no such file")
    except OSError as error:
        return LeftOut(found.name, SkipReason.FILE_UNREADABLE, error.strerror or str(error))
