"""Reads photographs and captions from Parquet files that have a column of image bytes."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
from pyarrow import parquet

from sdbench_trainer.data.decode import SkipReason, one_line
from sdbench_trainer.shards.items import PART_ITEMS, Columns, LeftOut, Photograph, Rows, ShardsRefused, caption_of

USUAL_IMAGE_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "img", "bytes")
"""The names that img2dataset (jpg, png, webp), Hugging Face (image) and others give to the column of image bytes."""
USUAL_KEY_COLUMNS = ("key", "__key__", "id", "url")
ROWS_AT_ONCE = 64
BUFFER_BYTES = 1 << 20
"""With a read buffer and without pre-buffering, a row group of gigabytes is not read into memory at once."""


def _image_column(schema: pyarrow.Schema, wanted: str) -> str | None:
    """The column of image bytes; None if there is none."""
    types = pyarrow.types
    for name in (wanted, *USUAL_IMAGE_COLUMNS):
        kind = schema.field(name).type if name in schema.names else pyarrow.null()
        # Hugging Face writes structs {bytes, path}.
        if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return name
        if types.is_binary(kind) or types.is_large_binary(kind):
            return name
    return None


def _opened(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise ShardsRefused(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def holds_images(path: Path, columns: Columns) -> bool:
    """Whether a Parquet file has a column of image bytes; img2dataset also writes files that hold only metadata."""
    with _opened(path) as file:
        return _image_column(file.schema_arrow, columns.file) is not None


def parquet_parts(path: Path, columns: Columns) -> Iterator[Rows]:
    """References to the rows of one file, row group by row group. Raises ShardsRefused."""
    with _opened(path) as file:
        schema = file.schema_arrow
        image = _image_column(schema, columns.file)
        if image is None:
            raise ShardsRefused(
                f"{path} has no column of image bytes, only {', '.join(schema.names)}. Name it with --file-column."
            )
        columns.require_caption(path, schema.names)
        caption = columns.caption if columns.caption in schema.names else None
        key = next((name for name in USUAL_KEY_COLUMNS if name in schema.names), None)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            for start in range(0, rows, PART_ITEMS):
                yield Rows(str(path), group, start, min(start + PART_ITEMS, rows), image, caption, key)


def read_rows(rows: Rows) -> Iterator[Photograph | LeftOut]:
    """Reads the photographs of a part."""
    columns = [name for name in (rows.image, rows.caption, rows.key) if name]
    number = 0
    with _opened(Path(rows.path)) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[rows.group], columns=columns):
            # A part is a range of a row group, but Parquet reads a group from its beginning.
            first, number = number, number + batch.num_rows
            if first >= rows.stop:
                return
            begin, end = max(rows.start - first, 0), min(rows.stop - first, batch.num_rows)
            for place, row in enumerate(batch.slice(begin, max(end - begin, 0)).to_pylist(), start=first + begin):
                key = row[rows.key] if rows.key else f"row {place} of group {rows.group}"
                name, value = f"{rows.path}/{key}", row[rows.image]
                content = value.get("bytes") if isinstance(value, dict) else value
                if content is None:
                    yield LeftOut(name, SkipReason.NO_IMAGE, f"its column {rows.image} is empty")
                else:
                    yield Photograph(name, content, caption_of(row[rows.caption]) if rows.caption else "")
