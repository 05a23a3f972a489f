"""Detects the format of a source, and lists its content in parts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from sdbench_trainer.shards.folders import TABLE_SUFFIXES, images_in, images_of
from sdbench_trainer.shards.items import IMAGE_SUFFIXES, Columns, Content, Found, ShardsRefused, in_parts
from sdbench_trainer.shards.tars import expanded, images_in_tar


class Format(StrEnum):
    """How photographs and captions are kept."""

    FOLDER = "folder"
    TABLE = "table"
    PARQUET = "parquet"
    WEBDATASET = "webdataset"


@dataclass(frozen=True)
class PhotoSource:
    """Where photographs come from."""

    format: Format
    files: tuple[Path, ...]
    """The folder, the table, the Parquet files or the tars."""
    contents: Callable[[], Iterator[Content]]
    """What is in it, in parts, in an order that follows from the source alone."""


def _parquet_parts(files: tuple[Path, ...], columns: Columns) -> Iterator[Content]:
    from sdbench_trainer.shards.parquets import parquet_parts

    for file in files:
        yield from parquet_parts(file, columns)


def _all(files: tuple[Path, ...], images: Callable[[Path], Iterator[Found]]) -> Iterator[Content]:
    return in_parts(found for file in files for found in images(file))


def _source(kind: Format, files: tuple[Path, ...], columns: Columns, without: frozenset[Path]) -> PhotoSource:
    contents: Callable[[], Iterator[Content]]
    if kind is Format.PARQUET:
        contents = partial(_parquet_parts, files, columns)
    elif kind is Format.WEBDATASET:
        contents = partial(_all, files, partial(images_in_tar, columns=columns))
    elif kind is Format.TABLE:
        contents = partial(_all, files, partial(images_of, columns=columns))
    else:
        contents = partial(_all, files, partial(images_in, columns=columns, without=without))
    return PhotoSource(kind, files, contents)


def _below(folder: Path, suffixes: tuple[str, ...], without: frozenset[Path]) -> tuple[Path, ...]:
    """Files of a folder and its direct subfolders, by suffix."""
    found = (path for pattern in ("*", "*/*") for path in folder.glob(pattern))
    chosen = (path for path in found if path.name.lower().endswith(suffixes) and path.is_file())
    return tuple(sorted(path for path in chosen if not without.intersection((path, *path.parents))))


def _one_table(folder: Path, tables: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(tables) > 1:
        raise ShardsRefused(
            f"{folder} holds {len(tables)} tables ({tables[0].name}, {tables[1].name}, …); "
            "name one of them as SOURCE, or say --format folder to use none."
        )
    return tables


def _tables(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLE_SUFFIXES))


def _looked_at(folder: Path, columns: Columns, without: frozenset[Path]) -> tuple[Format, tuple[Path, ...]]:
    """The format of a folder: tars first, then Parquet with image bytes, then a table, else images."""
    if tars := _below(folder, (".tar", ".tar.gz", ".tgz"), without):
        return Format.WEBDATASET, tars
    parquets = _below(folder, (".parquet",), without)
    if parquets:
        from sdbench_trainer.shards.parquets import holds_images

        if holds_images(parquets[0], columns):
            return Format.PARQUET, parquets
    if tables := _one_table(folder, _tables(folder)):
        return Format.TABLE, tables
    return Format.FOLDER, (folder,)


def _told(kind: Format, folder: Path, without: frozenset[Path]) -> tuple[Path, ...]:
    """The files of a folder that is said to have a format."""
    if kind is Format.FOLDER:
        return (folder,)
    if kind is Format.TABLE:
        return _one_table(folder, _tables(folder))
    return _below(folder, (".parquet",) if kind is Format.PARQUET else (".tar", ".tar.gz", ".tgz"), without)


def _kind_of(file: Path) -> Format:
    suffix = file.suffix.lower()
    kinds = {".parquet": Format.PARQUET, ".tar": Format.WEBDATASET, ".tgz": Format.WEBDATASET}
    kinds |= dict.fromkeys(TABLE_SUFFIXES, Format.TABLE)
    if file.name.lower().endswith(".tar.gz"):
        return Format.WEBDATASET
    if suffix in IMAGE_SUFFIXES:
        raise ShardsRefused(f"{file} is one image; name the folder that holds the images.")
    if suffix not in kinds:
        raise ShardsRefused(f"{file} is in no known format; say which by --format, or name a folder.")
    return kinds[suffix]


def source_at(
    place: str, columns: Columns, told: Format | None = None, without: frozenset[Path] = frozenset()
) -> PhotoSource:
    """The source that a path, or a pattern with braces, names; `without` is not looked into. Raises ShardsRefused."""
    paths = [Path(place)] if Path(place).exists() else [Path(name) for name in expanded(place)]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ShardsRefused(f"There is no {missing[0]}.")
    if len(paths) > 1 or not paths[0].is_dir():
        kind = told or _kind_of(paths[0])
        if kind is Format.FOLDER:
            raise ShardsRefused(f"{paths[0]} is not a folder.")
        return _source(kind, tuple(paths), columns, without)
    folder = paths[0].resolve()
    kind, files = (told, _told(told, folder, without)) if told else _looked_at(folder, columns, without)
    if not files:
        raise ShardsRefused(f"{folder} holds nothing in the format {kind.value}.")
    return _source(kind, files, columns, without)
