"""Detects the format of a source, unless it is given, and lists its content in parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sdbench_trainer.shards.folders import TABLE_SUFFIXES, images_in, images_of
from sdbench_trainer.shards.items import IMAGE_SUFFIXES, Columns, Content, ShardsRefused, in_parts
from sdbench_trainer.shards.tars import expanded, images_in_tar

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""Compressed tars are found, too, so that the error can say to decompress them."""


class Format(StrEnum):
    """How a source stores photographs and captions."""

    FOLDER = "folder"
    TABLE = "table"
    PARQUET = "parquet"
    WEBDATASET = "webdataset"


@dataclass(frozen=True)
class PhotoSource:
    """A source whose format is known."""

    format: Format
    files: tuple[Path, ...]
    """The folder, the table, the Parquet files or the tars."""
    columns: Columns
    exclude: frozenset[Path] = frozenset()

    def contents(self) -> Iterator[Content]:
        """Lists the source's content in parts, in an order that depends on the source alone."""
        match self.format:
            case Format.PARQUET:
                # Imported late, because the other formats need no pyarrow.
                from sdbench_trainer.shards.parquets import parquet_parts

                return (part for file in self.files for part in parquet_parts(file, self.columns))
            case Format.WEBDATASET:
                return in_parts(found for tar in self.files for found in images_in_tar(tar, self.columns))
            case Format.TABLE:
                return in_parts(found for table in self.files for found in images_of(table, self.columns))
            case Format.FOLDER:
                # One folder is all that this format has; its subfolders are searched, too.
                return in_parts(images_in(self.files[0], self.columns, self.exclude))


def source_at(
    place: str, columns: Columns, given: Format | None = None, exclude: frozenset[Path] = frozenset()
) -> PhotoSource:
    """The source at a path, or at the paths of a pattern with braces. Raises ShardsRefused.

    A given format is not detected. Excluded folders are not searched.
    """
    # A folder whose own name has braces is not a pattern.
    paths = [Path(place)] if Path(place).exists() else [Path(name) for name in expanded(place)]
    for path in paths:
        if not path.exists():
            raise ShardsRefused(f"SOURCE {path} does not exist. Name a folder, a file or a pattern of tars.")
    if len(paths) > 1 or not paths[0].is_dir():
        kind = given or _format_of_file(paths[0])
        if kind is Format.FOLDER:
            raise ShardsRefused(f"SOURCE {paths[0]} is not a folder. Name a folder, or give another --format.")
        return PhotoSource(kind, tuple(paths), columns, exclude)
    folder = paths[0].resolve()
    if given is None:
        return PhotoSource(*_detect(folder, columns, exclude), columns, exclude)
    files = _files_of_format(given, folder, exclude)
    if not files:
        raise ShardsRefused(
            f"{folder} has no files of format {given.value}. Give another --format, or name another SOURCE."
        )
    return PhotoSource(given, files, columns, exclude)


def _format_of_file(file: Path) -> Format:
    suffix = file.suffix.lower()
    if file.name.lower().endswith(TAR_SUFFIXES):
        return Format.WEBDATASET
    if suffix == ".parquet":
        return Format.PARQUET
    if suffix in TABLE_SUFFIXES:
        return Format.TABLE
    if suffix in IMAGE_SUFFIXES:
        raise ShardsRefused(f"SOURCE {file} is a single image. Name the folder that holds the images.")
    raise ShardsRefused(f"The format of SOURCE {file} is unknown. Give --format, or name a folder.")


def _detect(folder: Path, columns: Columns, exclude: frozenset[Path]) -> tuple[Format, tuple[Path, ...]]:
    """The format of a folder, and its files."""
    # A folder of tars or tables may hold loose images, too, such as a preview: the most specific format comes first.
    if files := _files_of_format(Format.WEBDATASET, folder, exclude):
        return Format.WEBDATASET, files
    if files := _files_of_format(Format.PARQUET, folder, exclude):
        from sdbench_trainer.shards.parquets import holds_images

        # img2dataset writes Parquet files of metadata beside its folders of images.
        if holds_images(files[0], columns):
            return Format.PARQUET, files
    files = _files_of_format(Format.TABLE, folder, exclude)
    return (Format.TABLE, files) if files else (Format.FOLDER, (folder,))


def _files_of_format(kind: Format, folder: Path, exclude: frozenset[Path]) -> tuple[Path, ...]:
    """The files of a format in a folder, tars and Parquet also in its direct subfolders. Raises ShardsRefused."""
    if kind is Format.FOLDER:
        return (folder,)
    if kind is Format.TABLE:
        tables = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLE_SUFFIXES))
        if len(tables) > 1:
            raise ShardsRefused(
                f"{folder} holds {len(tables)} tables ({tables[0].name}, {tables[1].name}, …). "
                "Name one of them as SOURCE, or give --format folder to ignore them."
            )
        return tables
    # Data sets are often split into one subfolder per part, such as train and test.
    suffixes = (".parquet",) if kind is Format.PARQUET else TAR_SUFFIXES
    listed = (path for pattern in ("*", "*/*") for path in folder.glob(pattern))
    files = (path for path in listed if path.name.lower().endswith(suffixes) and path.is_file())
    return tuple(sorted(path for path in files if not exclude.intersection((path, *path.parents))))
