"""Checks that shards are intact: several workers read and decode every sample of a folder or a remote."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from streaming import Stream
from streaming.base.world import World

from sdbench_trainer.data.decode import Fault, SkipReason, UnusableImage, opened, rgb
from sdbench_trainer.data.index import IMAGE_COLUMNS, LATENT_COLUMNS, MOMENTS, Index, index_in
from sdbench_trainer.data.remote import DOWNLOAD_SECONDS
from sdbench_trainer.data.tokenizer import CONTEXT, VOCABULARY
from sdbench_trainer.shards.items import ShardsRefused
from sdbench_trainer.shards.progress import ignore_progress
from sdbench_trainer.shards.workers import in_order


@dataclass(frozen=True)
class Unreadable:
    """A sample that training would replace."""

    sample: int
    """Its index in the shards."""
    fault: Fault


@dataclass(frozen=True)
class Tally:
    """The sums over some samples."""

    samples: int = 0
    size_bytes: int = 0
    without_caption: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """The number of images of each (width, height); for latents the size of the images that they stand for."""
    unreadable: tuple[Unreadable, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.samples + other.samples,
            self.size_bytes + other.size_bytes,
            self.without_caption + other.without_caption,
            self.sizes + other.sizes,
            self.unreadable + other.unreadable,
        )


@dataclass(frozen=True)
class ShardsLocation:
    """The folder of the shards, or a remote with the folder that holds its files while they are read."""

    local: str
    remote: str | None = None


def check(
    shards: str, *, workers: int = 1, report_progress: Callable[[int], None] = ignore_progress
) -> tuple[Index, Tally]:
    """Reads every sample of the shards in a folder or at a remote. Raises ShardsRefused, WorkerLost."""
    with tempfile.TemporaryDirectory(prefix="sdbench-check-") as temporary:
        remote = shards if "://" in shards else None
        location = ShardsLocation(temporary if remote else shards, remote)
        index, count = _require_index(location, shards)
        tally = Tally()
        for checked in in_order(partial(_check_shard, location=location, index=index), range(count), workers):
            tally += checked
            report_progress(checked.samples)
    return index, tally


@cache
def _open_shards(location: ShardsLocation) -> tuple[Any, list[Any]]:
    """The stream and the readers of its shards, opened once per process."""
    stream = Stream(remote=location.remote, local=location.local, download_retry=2, download_timeout=DOWNLOAD_SECONDS)
    return stream, stream.get_shards(World.detect(), False)


def _require_index(location: ShardsLocation, shards: str) -> tuple[Index, int]:
    """The index and the number of its shards. Raises ShardsRefused."""
    path = Path(location.local) / "index.json"
    try:
        _open_shards(location)
        index = index_in(path)
    except Exception as error:
        raise ShardsRefused(f"No shards at {shards}: {' '.join(str(error).split())}") from error
    if not index.columns >= IMAGE_COLUMNS.keys() and not index.columns >= LATENT_COLUMNS.keys():
        names = ", ".join(sorted(index.columns))
        raise ShardsRefused(
            f"The shards at {shards} have the columns {names}, but need image and caption, or moments and tokens."
        )
    return index, len(json.loads(path.read_text())["shards"])


def _check_shard(number: int, location: ShardsLocation, index: Index) -> Tally:
    """The Tally of one shard; all of its samples are unreadable if the shard itself cannot be read."""
    stream, shards = _open_shards(location)
    shard = shards[number]
    first = sum(len(before) for before in shards[:number])
    try:
        stream.prepare_shard(shard)
        tally = Tally()
        for at in range(len(shard)):
            try:
                tally += _check_sample(shard[at], index)
            except FileNotFoundError:
                raise
            except Exception as error:  # codecs raise arbitrary exceptions
                tally += Tally(1, unreadable=(Unreadable(first + at, _fault(error)),))
        if location.remote is not None:
            shard.evict()
        return tally
    except Exception as error:
        fault = Fault(SkipReason.FILE_UNREADABLE, f"shard {number}: {' '.join(str(error).split())}")
        lost = tuple(Unreadable(first + at, fault) for at in range(len(shard)))
        return Tally(len(lost), unreadable=lost)


def _fault(error: Exception) -> Fault:
    return error.fault if isinstance(error, UnusableImage) else Fault(SkipReason.DAMAGED, " ".join(str(error).split()))


def _check_sample(sample: dict[str, Any], index: Index) -> Tally:
    """The Tally of one sample. Raises whatever the codecs raise."""
    size_bytes = sum(len(value) for value in sample.values() if isinstance(value, bytes | str))
    if index.columns >= LATENT_COLUMNS.keys():
        size, empty = _check_latents(sample, index.description.image_size if index.description else None)
    else:
        size, empty = _decoded_size(sample["image"]), not sample["caption"].strip()
    return Tally(1, size_bytes, int(empty), Counter((size,)))


def _check_latents(sample: dict[str, Any], side: int | None) -> tuple[tuple[int, int], bool]:
    """The size of the image that latents stand for, and whether its caption is empty. Raises ValueError."""
    moments = np.frombuffer(sample["moments"], np.float16)
    edge = round((len(moments) / MOMENTS) ** 0.5)
    if MOMENTS * edge * edge != len(moments) or (side is not None and edge * 8 != side):
        raise ValueError(f"{len(moments)} moments do not fit an image of {side or 'any number of'} pixels a side")
    if not np.isfinite(moments).all():
        raise ValueError("some of its moments are not finite")
    tokens = np.frombuffer(sample["tokens"], np.uint16)
    if len(tokens) != CONTEXT or tokens.max() >= VOCABULARY:
        raise ValueError(f"its tokens are not {CONTEXT} ids below {VOCABULARY}")
    return (edge * 8, edge * 8), bool(tokens[1] == VOCABULARY - 1)


def _decoded_size(image: Any) -> tuple[int, int]:
    """Decodes an image and returns its width and height. Raises whatever the codecs raise."""
    if isinstance(image, Image.Image):
        return rgb(image).size
    with opened(image) as picture:
        picture.load()
        return rgb(picture).size
