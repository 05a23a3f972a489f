"""Which photographs are read? Those of the tests, cropped and scaled to sizes that the results name, as JPEG in MDS."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

from PIL import Image
from streaming import MDSWriter

import photographs

QUALITY = 90
SMALLEST_CROP = 0.6


def scaled(count: int, width: int, height: int) -> Iterator[tuple[str, bytes]]:
    """Caption and JPEG of so many different crops, all of one size."""
    pictures = list(photographs.photographs(photographs.wheel(photographs.cache())))
    draw = Random(0)
    for number in range(count):
        _, caption, picture = pictures[number % len(pictures)]
        whole = min(picture.width, picture.height * width / height)
        side = whole * draw.uniform(SMALLEST_CROP, 1.0)
        left = draw.uniform(0.0, picture.width - side)
        top = draw.uniform(0.0, picture.height - side * height / width)
        box = (left, top, left + side, top + side * height / width)
        file = BytesIO()
        picture.resize((width, height), Image.Resampling.LANCZOS, box).save(file, "JPEG", quality=QUALITY)
        yield caption, file.getvalue()


def write(folder: Path, count: int, width: int, height: int) -> float:
    """Write the shards; the mean size of a JPEG in bytes."""
    total = 0
    with MDSWriter(out=str(folder), columns={"image": "bytes", "caption": "str"}) as writer:
        for caption, jpeg in scaled(count, width, height):
            writer.write({"image": jpeg, "caption": caption})
            total += len(jpeg)
    return total / count
