"""Makes one awkward photograph of every kind with Pillow; docs/shards.md says what becomes of each."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CONVERTED = {
    "grey.jpg": (48, 40),
    "grey-alpha.png": (48, 40),
    "cmyk.jpg": (48, 40),
    "sixteen.png": (48, 40),
    "sixteen.tif": (48, 40),
    "float.tif": (48, 40),
    "alpha.png": (48, 40),
    "rotated.jpg": (40, 48),
    "rotated.png": (40, 48),
    "one.png": (1, 1),
    "animated.gif": (48, 40),
    "animated.webp": (48, 40),
    "panorama.jpg": (12_000, 40),
    "palette.png": (48, 40),
    "bits.png": (48, 40),
    "named-jpg.jpg": (48, 40),
    "ünïcode-写真-🐈.jpg": (48, 40),
    "LOUD.JPG": (48, 40),
    "bitmap.bmp": (48, 40),
}
"""File that becomes a sample → (width, height) of the stored image."""

LEFT_OUT = {
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "empty.jpg": "empty-file",
    "text.jpg": "not-an-image",
    "half-a-header.png": "not-an-image",
    "bomb.png": "too-large",
    "too-long.png": "too-large",
    "not-finite.tif": "damaged",
}
"""File that is left out → the reason."""


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _turned(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def _bomb() -> bytes:
    """A PNG of a few bytes whose header claims 40,000 x 40,000 pixels."""
    small = bytearray(_saved(Image.new("1", (8, 8)), "PNG"))
    small[16:24] = (40_000).to_bytes(4, "big") * 2
    import zlib

    small[29:33] = zlib.crc32(bytes(small[12:29])).to_bytes(4, "big")
    return bytes(small)


def photographs() -> dict[str, bytes]:
    """Every file's content, by name."""
    size = (48, 40)
    colour = Image.fromarray(np.random.default_rng(3).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    half = Image.new("RGBA", size, (255, 0, 0, 0))
    wide = np.full((40, 48), 20_000, dtype=np.uint16)
    frames = [Image.new("RGB", size, colour) for colour in ("red", "blue")]
    palette = Image.new("P", size, 0)
    palette.putpalette([10, 200, 30] * 256)
    jpeg, png = _saved(colour, "JPEG"), _saved(colour, "PNG")
    finite = np.full((40, 48), 0.5, dtype=np.float32)
    return {
        "grey.jpg": _saved(colour.convert("L"), "JPEG"),
        "grey-alpha.png": _saved(half.convert("LA"), "PNG"),
        "cmyk.jpg": _saved(colour.convert("CMYK"), "JPEG"),
        "sixteen.png": _saved(Image.fromarray(wide), "PNG"),
        "sixteen.tif": _saved(Image.fromarray(wide), "TIFF"),
        "float.tif": _saved(Image.fromarray(finite), "TIFF"),
        "alpha.png": _saved(half, "PNG"),
        "rotated.jpg": _saved(colour, "JPEG", exif=_turned(6)),
        "rotated.png": _saved(colour, "PNG", exif=_turned(8)),
        "one.png": _saved(Image.new("RGB", (1, 1), "green"), "PNG"),
        "animated.gif": _saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.webp": _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "panorama.jpg": _saved(Image.new("RGB", (12_000, 40), "teal"), "JPEG"),
        "palette.png": _saved(palette, "PNG", transparency=0),
        "bits.png": _saved(Image.new("1", size, 1), "PNG"),
        "named-jpg.jpg": png,
        "ünïcode-写真-🐈.jpg": jpeg,
        "LOUD.JPG": jpeg,
        "bitmap.bmp": _saved(colour, "BMP"),
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": png[: len(png) // 2],
        "empty.jpg": b"",
        "text.jpg": b"this is no picture",
        "half-a-header.png": png[:6],
        "bomb.png": _bomb(),
        "too-long.png": _saved(Image.new("1", (70_000, 1)), "PNG"),
        "not-finite.tif": _saved(Image.fromarray(finite * np.float32("nan")), "TIFF"),
    }


def write(folder: Path) -> int:
    """Writes all files, each with a caption; returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = photographs()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        (folder / name).with_suffix(".txt").write_text(f"a picture called {name}", encoding="utf-8")
    return len(contents)
