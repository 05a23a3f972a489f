"""Decodes any photograph into an upright RGB picture of 8 bits, or says why it cannot.

`shards build` and the training reader share these rules, so that both see the same picture. The table of awkward
photographs is in docs/shards.md.
"""

import warnings
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

QUALITY = 95
EXIF_ORIENTATION = 0x0112
PLAIN_MODES = ("RGB", "L")
WHITE = (255, 255, 255, 255)
BITS_16 = 65_535
JPEG_SIDE = 65_500
"""Most pixels that libjpeg takes a side."""

warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class SkipReason(StrEnum):
    """Why something is not a sample."""

    EMPTY_FILE = "empty-file"
    NOT_AN_IMAGE = "not-an-image"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_LARGE = "too-large"
    FILE_UNREADABLE = "file-unreadable"
    NO_IMAGE = "no-image"
    OTHER_FILE = "other-file"
    CAPTION_WITHOUT_IMAGE = "caption-without-image"
    BAD_ROW = "bad-row"


@dataclass(frozen=True)
class Fault:
    """Why a picture cannot be used."""

    reason: SkipReason
    detail: str


class UnusableImage(Exception):
    """A picture that cannot be used."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.reason}: {fault.detail}")
        self.fault = fault


def _fault(error: Exception, content: bytes) -> Fault:
    text = " ".join(str(error).split()) or type(error).__name__
    if not content:
        return Fault(SkipReason.EMPTY_FILE, "the file has no bytes")
    if isinstance(error, UnidentifiedImageError):
        return Fault(SkipReason.NOT_AN_IMAGE, f"its {len(content)} bytes are in no known image format")
    if isinstance(error, Image.DecompressionBombError):
        return Fault(SkipReason.TOO_LARGE, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels")
    if "truncated" in text.lower():
        return Fault(SkipReason.TRUNCATED, text)
    return Fault(SkipReason.DAMAGED, text)


def turned(image: Image.Image) -> bool:
    """Whether the camera was held in a way that EXIF tells; EXIF that cannot be read tells nothing."""
    if image.format == "JPEG" and not image.info.keys() & {"exif", "xmp"}:
        return False
    try:
        return image.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)
    except Exception:
        return False


def plain(image: Image.Image) -> bool:
    """Whether an opened image is an upright JPEG in RGB or grey, which is stored and decoded as it is."""
    return image.format == "JPEG" and image.mode in PLAIN_MODES and not turned(image)


def _stretched(image: Image.Image) -> Image.Image:
    """Grey of 8 bits from wider numbers: 0…65535 scaled as a whole, floats from 0…1, other ranges from their own."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise ValueError("its pixels are not all finite")
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= BITS_16:
        low, high = 0.0, float(BITS_16)
    scaled = (values - low) / max(high - low, 1e-12) * 255.0
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def rgb(image: Image.Image) -> Image.Image:
    """The first frame, upright, in RGB of 8 bits; what is transparent becomes white."""
    image.seek(0)
    if image.mode.startswith("I") or image.mode == "F":
        upright = _stretched(image)
        return (_upright(upright, image.getexif()) if turned(image) else upright).convert("RGB")
    picture = ImageOps.exif_transpose(image) if turned(image) else image
    if picture.has_transparency_data or picture.mode in ("La", "RGBa"):
        whole = picture.convert("RGBA") if picture.mode != "La" else picture.convert("LA").convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", whole.size, WHITE), whole)
    return picture.convert("RGB")


def _upright(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    picture.getexif()[EXIF_ORIENTATION] = exif[EXIF_ORIENTATION]
    return ImageOps.exif_transpose(picture)


def opened(content: bytes) -> ImageFile:
    """An image of which only the header is read yet. Raises Unusable."""
    try:
        return Image.open(BytesIO(content))
    except Exception as error:
        raise UnusableImage(_fault(error, content)) from error


def encoded(picture: Image.Image) -> bytes:
    """A picture as JPEG. Raises Unusable."""
    if max(picture.size) > JPEG_SIDE:
        raise UnusableImage(Fault(SkipReason.TOO_LARGE, f"a JPEG has at most {JPEG_SIDE} pixels a side"))
    out = BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def upright_jpeg(content: bytes) -> bytes:
    """An image file as a JPEG that needs no turning; the same bytes if it is one. Raises Unusable."""
    with opened(content) as image:
        try:
            image.load()
            return content if plain(image) else encoded(rgb(image))
        except UnusableImage:
            raise
        except Exception as error:  # codecs raise whatever they like
            raise UnusableImage(_fault(error, content)) from error
