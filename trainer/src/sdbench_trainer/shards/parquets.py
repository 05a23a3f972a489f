"""Reads photographs and captions from Parquet files that have a column of image bytes.

img2dataset names that column jpg, png or webp. Hugging Face writes structs with a field `bytes`, which are read, too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from sdbench_trainer.data.decode import SkipReason
from sdbench_trainer.shards.items import (
    PART_ITEMS,
    Columns,
    Content,
    LeftOut,
    Photograph,
    Rows,
    ShardsRefused,
    caption_of,
)

IMAGE_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "img", "bytes")
KEY_COLUMNS = ("key", "__key__", "id", "url")
ROWS_AT_ONCE = 64
BUFFER_BYTES = 1 << 20


def _holds_bytes(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _image_column(schema: pyarrow.Schema, wanted: str) -> str | None:
    names = [name for name in schema.names if _holds_bytes(schema.field(name).type)]
    return next((name for name in (wanted, *IMAGE_COLUMNS) if name in names), None)


def _opened(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise ShardsRefused(f"{path} is not a readable Parquet file: {' '.join(str(error).split())}") from error


def holds_images(path: Path, columns: Columns) -> bool:
    """Whether a Parquet file has a column of image bytes; img2dataset also writes files that hold only metadata."""
    with _opened(path) as file:
        return _image_column(file.schema_arrow, columns.file) is not None


def parquet_parts(path: Path, columns: Columns) -> Iterator[Content]:
    """References to the rows of one file, row group by row group. Raises ShardsRefused."""
    with _opened(path) as file:
        schema = file.schema_arrow
        image = _image_column(schema, columns.file)
        if image is None:
            raise ShardsRefused(
                f"{path} has no column of image bytes, only {', '.join(schema.names)}. Name it with --file-column."
            )
        if columns.caption not in schema.names and columns.caption != Columns().caption:
            raise ShardsRefused(f"{path} has no column {columns.caption}. Name the right one with --caption-column.")
        caption = columns.caption if columns.caption in schema.names else None
        key = next((name for name in KEY_COLUMNS if name in schema.names), None)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            for start in range(0, rows, PART_ITEMS):
                yield Rows(str(path), group, start, min(start + PART_ITEMS, rows), image, caption, key)


def _photograph(name: str, row: dict[str, Any], rows: Rows) -> Photograph | LeftOut:
    value = row[rows.image]
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        return LeftOut(name, SkipReason.NO_IMAGE, f"its column {rows.image} is empty")
    return Photograph(name, content, caption_of(row[rows.caption]) if rows.caption else "")


def read_rows(rows: Rows) -> Iterator[Photograph | LeftOut]:
    """Reads the photographs of a part."""
    columns = [name for name in (rows.image, rows.caption, rows.key) if name]
    number = 0
    with _opened(Path(rows.path)) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[rows.group], columns=columns):
            first, number = number, number + batch.num_rows
            if first >= rows.stop:
                return
            begin, end = max(rows.start - first, 0), min(rows.stop - first, batch.num_rows)
            for place, row in enumerate(batch.slice(begin, max(end - begin, 0)).to_pylist(), start=first + begin):
                key = row[rows.key] if rows.key else f"row {place} of group {rows.group}"
                yield _photograph(f"{rows.path}/{key}", row, rows)
