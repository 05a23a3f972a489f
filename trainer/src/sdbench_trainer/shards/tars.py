"""Finds the photographs and captions of WebDataset tars: KEY.jpg, KEY.txt and KEY.json form one sample."""

import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from sdbench_trainer.data.decode import SkipReason
from sdbench_trainer.shards.items import (
    IMAGE_SUFFIXES,
    Columns,
    Found,
    Item,
    LeftOut,
    Member,
    ShardsRefused,
    caption_in_json,
    caption_of,
)

COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
"""The first bytes of gzip, bzip2, xz and zstandard files."""
CAPTION_BYTES = 1 << 20
"""Larger members are no captions and stay unread."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expanded(pattern: str) -> list[str]:
    """Expands the braces of a pattern as a shell does: {000..012}, {a,b}."""
    found = next((match for match in _BRACES.finditer(pattern) if _RANGE.fullmatch(match[1]) or "," in match[1]), None)
    if found is None:
        return [pattern]
    if limits := _RANGE.fullmatch(found[1]):
        first, last = limits[1], limits[2]
        # As in a shell, a leading zero asks for numbers of equal width.
        step = 1 if int(first) <= int(last) else -1
        width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
        choices = [f"{number:0{width}}" for number in range(int(first), int(last) + step, step)]
    else:
        choices = found[1].split(",")
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [name for choice in choices for name in expanded(head + choice + tail)]


def _key(name: str) -> tuple[str, str]:
    """The sample's key and the suffix. WebDataset splits a name at the first dot after the last slash."""
    folder, slash, base = name.rpartition("/")
    key, _, suffix = base.partition(".")
    return folder + slash + key, suffix.lower()


def _members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """The files of a tar, with the content of those that hold captions. Raises tarfile.TarError."""
    with tarfile.open(archive, "r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined] # tarfile would keep every member in memory
            if member.isdir():
                continue
            # A caption is read at once, because it may precede its image; images are read by the workers.
            small = member.isreg() and member.size <= CAPTION_BYTES
            stream = tar.extractfile(member) if small and _key(member.name)[1] in ("txt", "json") else None
            yield member, stream.read() if stream else None


def _sample(archive: Path, key: str, members: list[tuple[tarfile.TarInfo, bytes | None]], columns: Columns) -> Found:
    name = f"{archive}/{key}"
    texts = {_key(member.name)[1]: text for member, text in members if text is not None}
    # The suffix of KEY.depth.png is depth.png: its last part is that of an image.
    images = [m for m, _ in members if m.isreg() and f".{_key(m.name)[1].rpartition('.')[2]}" in IMAGE_SUFFIXES]
    if not images:
        return LeftOut(name, SkipReason.NO_IMAGE, "none of its members has the suffix of an image")
    if "txt" in texts:
        caption = caption_of(texts["txt"].decode("utf-8-sig", "replace"))
    else:
        caption = caption_in_json(texts.get("json", b""), columns.caption)
    image = images[0]
    return Item(f"{archive}/{image.name}", Member(str(archive), image.offset_data, image.size), caption)


def images_in_tar(archive: Path, columns: Columns) -> Iterator[Found]:
    """The samples of one tar, in its order. Raises ShardsRefused if it is compressed."""
    # A compressed tar has no offsets from which several workers could read.
    with archive.open("rb") as stream:
        first_bytes = stream.read(6)
    if first_bytes.startswith(COMPRESSED):
        raise ShardsRefused(f"{archive} is compressed. Decompress it to a plain .tar first.")
    try:
        # WebDataset requires the members of a sample to be adjacent.
        for key, members in groupby(_members(archive), lambda pair: _key(pair[0].name)[0]):
            yield _sample(archive, key, list(members), columns)
    except tarfile.TarError as error:
        yield LeftOut(str(archive), SkipReason.FILE_UNREADABLE, f"the archive is truncated or damaged: {error}")
