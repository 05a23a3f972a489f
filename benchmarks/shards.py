"""Writes the shards that the cases read: the tests' photographs, cropped and scaled, and random latents."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from streaming import MDSWriter

import photographs
from benchmarks.trained import tiny_run
from sdbench_trainer.config import Encoding
from sdbench_trainer.data.index import (
    IMAGE_COLUMNS,
    INDEX,
    KEY,
    LATENT_COLUMNS,
    MOMENTS,
    PIXELS_PER_LATENT,
    Description,
)
from sdbench_trainer.data.tokenizer import clip_tokenizer, token_ids

QUALITY = 90
SMALLEST_CROP = 0.6


def scaled(count: int, width: int, height: int) -> Iterator[tuple[str, bytes]]:
    """The captions and JPEGs of this many different crops of one size."""
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
    """Writes shards of photographs and returns the mean size of a JPEG in bytes."""
    total = 0
    with MDSWriter(out=str(folder), columns=IMAGE_COLUMNS) as writer:
        for caption, jpeg in scaled(count, width, height):
            writer.write({"image": jpeg, "caption": caption})
            total += len(jpeg)
    return total / count


def write_latents(folder: Path, count: int, image_size: int) -> None:
    """Writes shards of random moments, in the format of `shards build --latents`."""
    draw, knobs, side = Random(0), tiny_run().trainer, image_size // PIXELS_PER_LATENT
    tokens = np.array(token_ids(clip_tokenizer(), ["a picture"])[0], np.uint16).tobytes()
    with MDSWriter(out=str(folder), columns=LATENT_COLUMNS) as writer:
        for _ in range(count):
            writer.write({"moments": draw.randbytes(MOMENTS * side * side * 2), "tokens": tokens})
    description = Description(
        encoding=Encoding.PRECOMPUTED, samples=count, image_size=image_size, model=knobs.model, seed=knobs.seed
    )
    index = folder / INDEX
    index.write_text(json.dumps({**json.loads(index.read_text()), KEY: description.document()}))
