"""Which images does a folder hold, with which captions? And are they upright JPEGs?"""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from sdbench_trainer.shards import EXIF_ORIENTATION, Picture, ShardsRefused, build, pictures, upright_jpeg


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photographs")


def encoded(kind: str, mode: str = "RGB", orientation: int = 1, size: tuple[int, int] = (8, 4)) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    out = BytesIO()
    Image.new(mode, size, 90).save(out, kind, exif=exif)
    return out.getvalue()


def test_a_caption_stands_beside_its_image(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "b.jpg").touch()
    (folder / "b.txt").write_text(" two words\n")
    (folder / "deep" / "a.PNG").touch()
    (folder / "notes.md").touch()
    assert pictures(folder) == [Picture(folder / "b.jpg", "two words"), Picture(folder / "deep" / "a.PNG", "")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", 'file,caption\nb.jpg,"one, two"\na.jpg,three\n'),
        ("captions.jsonl", '{"file": "b.jpg", "caption": "one, two"}\n\n{"file": "a.jpg", "caption": "three"}\n'),
    ],
)
def test_a_table_names_images_and_captions(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert pictures(folder) == [Picture(folder / "b.jpg", "one, two"), Picture(folder / "a.jpg", "three")]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "There is no image"),
        ({"a.csv": "file,caption\n", "b.jsonl": ""}, "holds 2 tables"),
        ({"a.csv": "path,caption\nx.jpg,x\n"}, "Row 1 of .* has no column file"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(ShardsRefused, match=words):
        build(folder, folder / "out", overwrite=False)
    assert not (folder / "out").exists()


def test_an_output_with_something_in_it_is_left_alone(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine").write_text("precious")
    with pytest.raises(ShardsRefused, match="--overwrite"):
        build(folder, folder / "out", overwrite=False)
    assert (folder / "out" / "mine").read_text() == "precious"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_upright_jpeg_keeps_its_bytes(mode: str) -> None:
    content = encoded("JPEG", mode)
    assert upright_jpeg(content) == content


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (encoded("PNG"), (8, 4)),
        (encoded("PNG", "RGBA"), (8, 4)),
        (encoded("JPEG", "CMYK"), (8, 4)),
        (encoded("JPEG", orientation=6), (4, 8)),
    ],
)
def test_other_images_become_upright_jpegs(content: bytes, size: tuple[int, int]) -> None:
    image = Image.open(BytesIO(upright_jpeg(content)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
    assert image.getexif().get(EXIF_ORIENTATION, 1) == 1
