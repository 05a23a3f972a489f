"""Tests that each format of a source is recognised, and that no photograph is silently skipped."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from sdbench_trainer.data.decode import SkipReason
from sdbench_trainer.shards.items import Columns, LeftOut, Photograph, Rows, ShardsRefused, read
from sdbench_trainer.shards.parquets import read_rows
from sdbench_trainer.shards.sources import Format, PhotoSource, source_at
from sdbench_trainer.shards.tars import expanded


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("source")


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tar(path: Path, members: Mapping[str, str | bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def everything(source: PhotoSource) -> list[Photograph | LeftOut]:
    found: list[Photograph | LeftOut] = []
    for content in source.contents():
        found += read_rows(content) if isinstance(content, Rows) else map(read, content)
    return found


def captions(source: PhotoSource) -> dict[str, str]:
    """The captions by content; in these tests, every photograph contains its own name."""
    return {one.content.decode(): one.caption for one in everything(source) if isinstance(one, Photograph)}


def left_out(source: PhotoSource) -> dict[str, SkipReason]:
    return {Path(one.name).name: one.reason for one in everything(source) if isinstance(one, LeftOut)}


def test_a_folder_is_searched_in_order_and_other_files_are_counted(folder: Path) -> None:
    write(
        folder,
        {
            "b.jpg": "b",
            "b.txt": " two words\n",
            "deep/a.PNG": "a",
            "deep/a.TXT": "\ufeffloud",
            "c.webp": "c",
            "c.json": json.dumps({"caption": ["first", "second"], "prompt": "other"}),
            "d.jpg": "d",
            "d.json": "{half",
            "notes.md": "x",
            "lonely.txt": "x",
            "film.mp4": "x",
        },
    )
    source = source_at(str(folder), Columns())
    assert source.format is Format.FOLDER
    assert captions(source) == {"b": "two words", "c": "first", "d": "", "a": "loud"}
    assert list(captions(source)) == ["b", "c", "d", "a"]
    assert left_out(source) == {
        "notes.md": SkipReason.OTHER_FILE,
        "lonely.txt": SkipReason.CAPTION_WITHOUT_IMAGE,
        "film.mp4": SkipReason.OTHER_FILE,
    }
    assert captions(source_at(str(folder), Columns(caption="prompt")))["c"] == "other"


def test_shards_that_are_built_inside_the_source_are_not_read(folder: Path) -> None:
    write(folder, {"a.jpg": "a", "out/b.jpg": "b", ".out.unfinished/c.jpg": "c"})
    own = frozenset((folder / "out", folder / ".out.unfinished"))
    assert list(captions(source_at(str(folder), Columns(), exclude=own))) == ["a"]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("t.csv", 'file,caption\nb.jpg,"one, two"\na.jpg,\n', Columns()),
        ("t.csv", '\ufefffile,caption\r\nb.jpg,"one, two"\r\na.jpg,\r\n', Columns()),
        ("t.csv", 'path,text,x\nb.jpg,"one, two",1\na.jpg,,2\n', Columns("path", "text")),
        ("t.jsonl", '{"file": "b.jpg", "caption": "one, two"}\n\n{"file": "a.jpg", "caption": null}\n', Columns()),
        ("t.ndjson", '{"f": "b.jpg", "c": ["one, two", "3"]}\n{"f": "a.jpg"}\n', Columns("f", "c")),
    ],
)
def test_a_table_lists_files_and_captions(folder: Path, name: str, text: str, columns: Columns) -> None:
    write(folder, {name: text, "a.jpg": "a", "b.jpg": "b", "unnamed.jpg": "c"})
    for place in (folder, folder / name):
        source = source_at(str(place), columns)
        assert (source.format, captions(source)) == (Format.TABLE, {"b": "one, two", "a": ""})


def test_rows_without_a_file_are_reported(folder: Path) -> None:
    rows = ['{"file": "a.jpg"}', "nonsense", '{"file": ""}', '{"file": "gone.jpg"}', "[1]", '{"file": 3}']
    write(folder, {"t.jsonl": "\n".join(rows), "a.jpg": "a"})
    source = source_at(str(folder / "t.jsonl"), Columns())
    assert list(captions(source)) == ["a"]
    assert [one.reason for one in everything(source) if isinstance(one, LeftOut)] == [
        SkipReason.BAD_ROW,
        SkipReason.NO_IMAGE,
        SkipReason.FILE_UNREADABLE,
        SkipReason.BAD_ROW,
        SkipReason.NO_IMAGE,
    ]


def rows(path: Path, columns: Mapping[str, Sequence[object]], group: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(dict(columns)), path, row_group_size=group)


@pytest.mark.parametrize("image", ["jpg", "png", "webp", "image"])
def test_img2dataset_parquet_with_bytes_and_failed_rows_is_read(folder: Path, image: str) -> None:
    keys, status = ["0", "1", "2"], ["success", "failed_to_download", "success"]
    rows(
        folder / "00000.parquet",
        {"key": keys, "caption": ["x", "y", None], "status": status, image: [b"a", None, b"c"]},
    )
    rows(folder / "00001.parquet", {"key": ["3"], "caption": ["z"], "status": ["success"], image: [b"d"]})
    source = source_at(str(folder), Columns())
    assert (source.format, captions(source)) == (Format.PARQUET, {"a": "x", "c": "", "d": "z"})
    assert left_out(source) == {"1": SkipReason.NO_IMAGE}


def test_hugging_face_parquet_with_structs_is_read_and_its_columns_can_be_named(folder: Path) -> None:
    rows(folder / "a.parquet", {"photo": [{"bytes": b"a", "path": "a.jpg"}], "prompt": [["x", "y"]]})
    source = source_at(str(folder / "a.parquet"), Columns("photo", "prompt"))
    assert captions(source) == {"a": "x"}


def test_parts_of_a_row_group_are_read_alone(folder: Path) -> None:
    count = 200
    rows(folder / "a.parquet", {"jpg": [f"{number}".encode() for number in range(count)]}, group=count)
    part = Rows(str(folder / "a.parquet"), 0, 70, 130, "jpg", None, None)
    found = [one.content.decode() for one in read_rows(part) if isinstance(one, Photograph)]
    assert found == [str(number) for number in range(70, 130)]


def test_img2dataset_files_are_read_as_a_folder_and_their_metadata_are_skipped(folder: Path) -> None:
    write(
        folder, {"00000/0.jpg": "a", "00000/0.txt": "x", "00000/0.json": '{"caption": "no"}', "00000_stats.json": "{}"}
    )
    rows(folder / "00000.parquet", {"key": ["0"], "caption": ["x"], "url": ["http://"]})
    source = source_at(str(folder), Columns())
    assert (source.format, captions(source), left_out(source)) == (Format.FOLDER, {"a": "x"}, {})


def test_the_files_of_a_tar_are_grouped_by_key(folder: Path) -> None:
    tar(
        folder / "00000.tar",
        {"0.jpg": "a", "0.txt": "x", "0.json": '{"caption": "no"}', "d/1.png": "b", "d/1.json": "{}"},
    )
    tar(folder / "00001.tar", {"2.json": '{"caption": "y"}', "2.image.webp": "c", "3.txt": "no image"})
    rows(folder / "00000.parquet", {"key": ["0"], "caption": ["x"]})
    source = source_at(str(folder), Columns())
    assert (source.format, captions(source)) == (Format.WEBDATASET, {"a": "x", "b": "", "c": "y"})
    assert left_out(source) == {"3": SkipReason.NO_IMAGE}
    assert captions(source_at(f"{folder}/{{00000..00001}}.tar", Columns())) == captions(source)
    assert list(captions(source_at(str(folder / "00001.tar"), Columns()))) == ["c"]


def test_a_truncated_tar_yields_what_it_holds_and_is_reported(folder: Path) -> None:
    whole = tar(folder / "a.tar", {f"{number}.jpg": b"x" * 2_000 for number in range(4)})
    whole.write_bytes(whole.read_bytes()[:6_000])
    found = everything(source_at(str(whole), Columns()))
    assert [type(one).__name__ for one in found][:2] == ["Photograph", "Photograph"]
    assert isinstance(found[-1], LeftOut)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("odd{name}.tar", ["odd{name}.tar"]),
    ],
)
def test_braces_expand_as_in_a_shell(pattern: str, names: list[str]) -> None:
    assert expanded(pattern) == names


@pytest.mark.parametrize(
    ("files", "place", "requested", "words"),
    [
        ({"a.csv": "file,caption\n", "b.jsonl": ""}, "", None, "holds 2 tables"),
        ({"a.csv": "path,caption\nx.jpg,x\n"}, "", None, "has no column file, only path, caption. .* --file-column"),
        ({"a.csv": b"file,caption\n\xff\xfe,x\n"}, "", None, "is not valid CSV in UTF-8"),
        ({"a.jpg": "x"}, "a.jpg", None, "is a single image. Name the folder"),
        ({"a.docx": "x"}, "a.docx", None, "The format of SOURCE .* is unknown"),
        ({}, "absent", None, "SOURCE .*absent does not exist"),
        ({"0.tar": "x"}, "{0..1}.tar", None, "SOURCE .*1.tar does not exist"),
        ({"a.parquet": "x"}, "", None, "is not a readable Parquet file"),
        ({"a.jpg": "x"}, "", Format.PARQUET, "has no files of format parquet"),
        ({"a.tar.gz": b"\x1f\x8b......"}, "", None, "is compressed. Decompress it"),
    ],
)
def test_an_unusable_source_is_refused_with_a_reason(
    folder: Path, files: Mapping[str, str | bytes], place: str, requested: Format | None, words: str
) -> None:
    write(folder, files)
    with pytest.raises(ShardsRefused, match=words):
        everything(source_at(f"{folder}/{place}", Columns(), requested))


def test_a_named_column_that_does_not_exist_is_refused(folder: Path) -> None:
    write(folder, {"a.csv": "file,caption\nx.jpg,x\n"})
    rows(folder / "b.parquet", {"jpg": [b"a"]})
    for name in ("a.csv", "b.parquet"):
        with pytest.raises(ShardsRefused, match=r"has no column text\. .* --caption-column"):
            everything(source_at(str(folder / name), Columns(caption="text")))


def test_an_explicit_format_overrides_detection(folder: Path) -> None:
    write(folder, {"a.csv": "x", "b.jsonl": "y", "c.jpg": "c"})
    assert captions(source_at(str(folder), Columns(), Format.FOLDER)) == {"c": ""}
