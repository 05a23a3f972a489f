"""Tests that every unusual photograph becomes an upright 8-bit RGB picture, or is rejected with a reason."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import unusual_photographs
from sdbench_trainer.data.decode import EXIF_ORIENTATION, UnusableImage, plain, rgb, upright_jpeg

PHOTOGRAPHS = unusual_photographs.photographs()


def stored(name: str) -> Image.Image:
    return Image.open(BytesIO(upright_jpeg(PHOTOGRAPHS[name])))


def converted(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(rgb(Image.open(BytesIO(PHOTOGRAPHS[name]))))


def test_every_photograph_has_an_expected_outcome() -> None:
    assert unusual_photographs.CONVERTED.keys() | unusual_photographs.LEFT_OUT.keys() == PHOTOGRAPHS.keys()
    assert not unusual_photographs.CONVERTED.keys() & unusual_photographs.LEFT_OUT.keys()


@pytest.mark.parametrize("name", unusual_photographs.CONVERTED)
def test_a_readable_photograph_becomes_an_upright_jpeg(name: str) -> None:
    image = stored(name)
    assert plain(image)
    assert image.size == unusual_photographs.CONVERTED[name]
    assert image.getexif().get(EXIF_ORIENTATION, 1) == 1


@pytest.mark.parametrize("name", unusual_photographs.LEFT_OUT)
def test_an_unreadable_photograph_is_rejected_with_a_reason(name: str) -> None:
    with pytest.raises(UnusableImage) as unusable:
        upright_jpeg(PHOTOGRAPHS[name])
    assert unusable.value.reason == unusual_photographs.LEFT_OUT[name]
    assert unusable.value.detail


@pytest.mark.parametrize("name", ["grey.jpg", "panorama.jpg", "LOUD.JPG"])
def test_an_upright_jpeg_keeps_its_bytes(name: str) -> None:
    assert upright_jpeg(PHOTOGRAPHS[name]) == PHOTOGRAPHS[name]


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("alpha.png", (255, 255, 255)),
        ("grey-alpha.png", (255, 255, 255)),
        ("palette.png", (255, 255, 255)),
        ("sixteen.png", (78, 78, 78)),
        ("sixteen.tif", (78, 78, 78)),
        ("float.tif", (128, 128, 128)),
        ("bits.png", (255, 255, 255)),
        ("animated.gif", (255, 0, 0)),
        ("animated.webp", (255, 0, 0)),
    ],
)
def test_colours_are_kept(name: str, colour: tuple[int, int, int]) -> None:
    assert converted(name)[20, 20].tolist() == list(colour)


def test_a_rotated_picture_is_rotated_back() -> None:
    upright = np.asarray(Image.open(BytesIO(PHOTOGRAPHS["named-jpg.jpg"])))
    assert np.array_equal(converted("rotated.png"), np.rot90(upright))


@pytest.mark.parametrize("values", [[[-5, 0], [5, 15]], [[0, 0], [70_000, 140_000]]])
def test_more_than_8_bits_are_scaled_from_their_own_range(values: list[list[int]]) -> None:
    out = BytesIO()
    Image.fromarray(np.array(values, dtype=np.int32)).save(out, "TIFF")
    found = np.asarray(rgb(Image.open(out)))[..., 0]
    assert (found.min(), found.max()) == (0, 255)


def test_a_uniform_picture_of_more_than_8_bits_does_not_divide_by_zero() -> None:
    assert np.asarray(rgb(Image.fromarray(np.full((2, 2), -3, dtype=np.int32)))).max() == 0
