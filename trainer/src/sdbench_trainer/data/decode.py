"""Converts any photograph to an upright 8-bit RGB picture, or gives the reason why it cannot.

`shards build` and training share these rules, so both see the same picture. docs/shards.md has the table of unusual
photographs.
"""

import warnings
from enum import StrEnum
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

QUALITY = 95
EXIF_ORIENTATION = 0x0112
JPEG_SIDE = 65_500
"""The most pixels per side that libjpeg supports."""

# Pillow warns at half of its limit; a picture beyond the limit is an error, which gets a SkipReason.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class SkipReason(StrEnum):
    """Why something does not become a sample."""

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

    def with_detail(self, detail: str) -> str:
        """The reason, followed by the detail in parentheses if there is one."""
        return f"{self.value} ({detail})" if detail else self.value


class UnusableImage(Exception):
    """Raised for a picture that cannot be used."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def one_line(error: BaseException) -> str:
    """The text of an error without line breaks, or the error's type if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def _unusable(error: Exception, content: bytes) -> UnusableImage:
    # Empty files come first, because Pillow calls them unidentified, too.
    if not content:
        return UnusableImage(SkipReason.EMPTY_FILE, "the file is empty")
    if isinstance(error, UnidentifiedImageError):
        return UnusableImage(SkipReason.NOT_AN_IMAGE, f"its {len(content)} bytes are not in a known image format")
    if isinstance(error, Image.DecompressionBombError):
        # Pillow raises only at twice the limit at which it warns.
        return UnusableImage(SkipReason.TOO_LARGE, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels")
    text = one_line(error)
    return UnusableImage(SkipReason.TRUNCATED if "truncated" in text.lower() else SkipReason.DAMAGED, text)


def turned(image: Image.Image) -> bool:
    """Whether EXIF says that the image must be rotated or mirrored; unreadable EXIF is ignored."""
    # A shortcut for most photographs: a JPEG without metadata has no orientation, and parsing takes time.
    if image.format == "JPEG" and not image.info.keys() & {"exif", "xmp"}:
        return False
    try:
        return image.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)
    except Exception:
        return False


def plain(image: Image.Image) -> bool:
    """Whether an opened image is an upright RGB or grey JPEG, which is stored and decoded unchanged."""
    return image.format == "JPEG" and image.mode in ("RGB", "L") and not turned(image)


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """Scales wider grey values to 8 bits: from 0…65535, floats from 0…1, anything else from its own range."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise ValueError("some of its pixels are not finite")
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 0xFFFF:
        low, high = 0.0, float(0xFFFF)
    # A picture of one grey value has no range, so the divisor must not become zero.
    scaled = (values - low) / max(high - low, 1e-12) * 255.0
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def rgb(image: Image.Image) -> Image.Image:
    """The first frame as an upright 8-bit RGB picture; transparent areas become white."""
    image.seek(0)
    if image.mode.startswith("I") or image.mode == "F":
        grey = _scaled_to_8_bits(image)
        if turned(image):
            # The new image has no EXIF, so it takes its orientation from the old one.
            grey.getexif()[EXIF_ORIENTATION] = image.getexif()[EXIF_ORIENTATION]
            grey = ImageOps.exif_transpose(grey)
        return grey.convert("RGB")
    picture = ImageOps.exif_transpose(image) if turned(image) else image
    if picture.has_transparency_data or picture.mode in ("La", "RGBa"):
        # Pillow converts La to RGBA only by way of LA.
        rgba = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return picture.convert("RGB")


def opened(content: bytes) -> ImageFile:
    """Opens an image and reads only its header. Raises UnusableImage."""
    try:
        return Image.open(BytesIO(content))
    except Exception as error:
        raise _unusable(error, content) from error


def encoded(picture: Image.Image) -> bytes:
    """Encodes a picture as JPEG. Raises UnusableImage."""
    if max(picture.size) > JPEG_SIDE:
        raise UnusableImage(SkipReason.TOO_LARGE, f"a JPEG has at most {JPEG_SIDE} pixels per side")
    out = BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def upright_jpeg(content: bytes) -> bytes:
    """Converts an image file to an upright JPEG; an upright JPEG keeps its bytes. Raises UnusableImage."""
    with opened(content) as image:
        try:
            image.load()
            return content if plain(image) else encoded(rgb(image))
        except UnusableImage:
            raise
        except Exception as error:  # codecs raise arbitrary exceptions
            raise _unusable(error, content) from error
