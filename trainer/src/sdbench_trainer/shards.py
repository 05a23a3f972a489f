"""How do photographs become shards? A folder of images with captions is written as MDS, as Streaming reads it.

Captions are in a `.txt` beside each image, or in the folder's one CSV or JSONL file with the columns file and caption.
The columns of the shards are image (the bytes of an upright JPEG) and caption (str).
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
COLUMNS = {"image": "bytes", "caption": "str"}
QUALITY = 95
SHARD_BYTES = 1 << 26
EXIF_ORIENTATION = 0x0112


class ShardsRefused(Exception):
    """Nothing can be written; the text is a sentence that says why."""


@dataclass(frozen=True)
class Picture:
    """An image file and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Unreadable:
    """An image that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Built:
    """What became of a folder."""

    written: int
    unreadable: tuple[Unreadable, ...]


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as lines:
        if table.suffix == ".csv":
            yield from csv.DictReader(lines)
        else:
            yield from (json.loads(line) for line in lines if line.strip())


def _pictures_in_table(folder: Path, table: Path) -> Iterator[Picture]:
    for number, row in enumerate(_rows(table), start=1):
        if not row.get("file"):
            raise ShardsRefused(f"Row {number} of {table} has no column file; the columns are file and caption.")
        yield Picture(folder / row["file"], row.get("caption") or "")


def _beside(image: Path) -> str:
    text = image.with_suffix(".txt")
    return text.read_text(encoding="utf-8").strip() if text.is_file() else ""


def pictures(folder: Path) -> list[Picture]:
    """Every image of a folder, in the order of its names, or in that of its table. Raises ShardsRefused."""
    if not folder.is_dir():
        raise ShardsRefused(f"{folder} is not a folder.")
    tables = sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".jsonl"))
    if len(tables) > 1:
        raise ShardsRefused(f"{folder} holds {len(tables)} tables ({tables[0].name}, {tables[1].name}, …); keep one.")
    if tables:
        return list(_pictures_in_table(folder, tables[0]))
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [Picture(path, _beside(path)) for path in images]


def upright_jpeg(content: bytes) -> bytes:
    """An image file as a JPEG that needs no turning; the same bytes if it is one. Raises what Pillow raises."""
    with Image.open(BytesIO(content)) as image:
        image.load()
        turned = image.getexif().get(EXIF_ORIENTATION, 1) != 1
        if image.format == "JPEG" and image.mode in ("RGB", "L") and not turned:
            return content
        upright = ImageOps.exif_transpose(image).convert("RGB")
        encoded = BytesIO()
        upright.save(encoded, "JPEG", quality=QUALITY)
        return encoded.getvalue()


def _sample(picture: Picture) -> dict[str, bytes | str] | Unreadable:
    try:
        return {"image": upright_jpeg(picture.path.read_bytes()), "caption": picture.caption}
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Unreadable(picture.path, str(error) or type(error).__name__)


def require_room(out: Path, overwrite: bool) -> None:
    """Raise ShardsRefused if something is in the way."""
    if out.exists() and not out.is_dir():
        raise ShardsRefused(f"{out} is a file.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ShardsRefused(f"{out} is not empty; name another folder, or give --overwrite.")


def _write(found: Iterable[Picture], folder: Path) -> Built:
    from streaming import MDSWriter

    written, unreadable = 0, []
    with MDSWriter(columns=COLUMNS, out=str(folder), size_limit=SHARD_BYTES) as writer:
        for picture in found:
            sample = _sample(picture)
            if isinstance(sample, Unreadable):
                unreadable.append(sample)
            else:
                writer.write(sample)
                written += 1
    return Built(written, tuple(unreadable))


def build(
    folder: Path, out: Path, *, overwrite: bool, progress: Callable[[list[Picture]], Iterable[Picture]] = iter
) -> Built:
    """Write the folder's images as shards; OUT appears when all is written, or not at all. Raises ShardsRefused."""
    require_room(out, overwrite)
    found = pictures(folder)
    if not found:
        raise ShardsRefused(f"There is no image in {folder}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        built = _write(progress(found), unfinished)
        if not built.written:
            first = built.unreadable[0]
            raise ShardsRefused(
                f"None of {len(found)} images in {folder} can be read; the first: {first.path.name}: {first.reason}"
            )
        if out.exists():
            shutil.rmtree(out)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return built
