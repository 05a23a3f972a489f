"""Finds the photographs and captions of a folder, or of a CSV or JSONL table."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sdbench_trainer.data.decode import SkipReason
from sdbench_trainer.shards.items import IMAGE_SUFFIXES, Columns, File, Found, Item, LeftOut, ShardsRefused, caption_of

CAPTION_SUFFIXES = (".txt", ".json")
"""The suffixes of a caption file beside an image; the first that exists wins."""
TABLE_SUFFIXES = (".csv", ".jsonl", ".ndjson")
METADATA_SUFFIXES = (*TABLE_SUFFIXES, ".parquet")
FIELD_BYTES = 1 << 24
"""The longest field in a CSV table; Python's own limit is 128 KiB."""


def _images_among(names: list[str], folder: Path, columns: Columns) -> Iterator[Found]:
    """The images among the files of one folder, and the files that are neither images nor belong to one."""
    # By (stem, suffix), because the caption of a.jpg may be in a.TXT.
    split = {name: os.path.splitext(name) for name in names}  # noqa: PTH122 - pathlib is too slow for millions of names
    texts = {
        (stem, suffix.lower()): name for name, (stem, suffix) in split.items() if suffix.lower() in CAPTION_SUFFIXES
    }
    stems = {stem for stem, suffix in split.values() if suffix.lower() in IMAGE_SUFFIXES}
    for name in names:
        stem, suffix = split[name][0], split[name][1].lower()
        path = str(folder / name)
        if suffix in IMAGE_SUFFIXES:
            beside = next((texts[stem, end] for end in CAPTION_SUFFIXES if (stem, end) in texts), None)
            caption = File(str(folder / beside)) if beside else ""
            yield Item(path, File(path), caption, columns.caption)
        # A lone .json file is usually metadata, but a lone .txt file is a caption whose image is missing.
        elif suffix == ".txt" and stem not in stems:
            yield LeftOut(path, SkipReason.CAPTION_WITHOUT_IMAGE)
        elif suffix not in CAPTION_SUFFIXES and suffix not in METADATA_SUFFIXES:
            yield LeftOut(path, SkipReason.OTHER_FILE, "its suffix is not that of an image")


def images_in(folder: Path, columns: Columns, exclude: frozenset[Path] = frozenset()) -> Iterator[Found]:
    """The content of a folder and its subfolders, sorted by name; only the names of open folders are in memory."""
    with os.scandir(folder) as entries:
        listed = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    files = [name for name, is_folder in listed if not is_folder and (folder / name) not in exclude]
    yield from _images_among(files, folder, columns)
    for name, is_folder in listed:
        if is_folder and (folder / name) not in exclude:
            yield from images_in(folder / name, columns, exclude)


def _rows(table: Path) -> Iterator[Mapping[str, Any] | None]:
    """The rows of a table; None for a line that is not a valid row. Raises ShardsRefused."""
    csv.field_size_limit(FIELD_BYTES)
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            if table.suffix.lower() == ".csv":
                yield from csv.DictReader(lines)
                return
            for line in filter(str.strip, lines):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                yield row if isinstance(row, dict) else None
    except (UnicodeError, csv.Error) as error:
        raise ShardsRefused(f"{table} is not valid {table.suffix[1:].upper()} in UTF-8: {error}.") from error


def images_of(table: Path, columns: Columns) -> Iterator[Found]:
    """The images that a CSV or JSONL table names, in its order; paths are relative to the table's folder."""
    checked = False
    for number, row in enumerate(_rows(table), start=1):
        name = f"{table}, row {number}"
        if row is None:
            yield LeftOut(name, SkipReason.BAD_ROW, "it is not a JSON object")
            continue
        # Only the first row is checked, because the rows of JSONL may leave out what is empty.
        if not checked:
            if columns.file not in row:
                names, remedy = ", ".join(map(str, row)), "Name the column of file paths with --file-column."
                raise ShardsRefused(f"{table} has no column {columns.file}, only {names}. {remedy}")
            columns.require_caption(table, row)
            checked = True
        file = row.get(columns.file)
        if not file or not isinstance(file, str):
            yield LeftOut(name, SkipReason.NO_IMAGE, f"its column {columns.file} is empty")
            continue
        path = str(table.parent / file)
        yield Item(path, File(path), caption_of(row.get(columns.caption)), columns.caption)
