"""Checks shards: reads and decodes every sample of a folder or a remote, one shard at a time by several workers."""

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
from sdbench_trainer.data.index import IMAGE_COLUMNS, LATENT_COLUMNS, Index, index_in
from sdbench_trainer.shards.items import ShardsRefused
from sdbench_trainer.shards.workers import in_order

MOMENTS = 8
TOKENS = 77
VOCABULARY = 49_408
"""Token ids; the last of them ends a caption."""
DOWNLOAD_SECONDS = 60


@dataclass(frozen=True)
class Unreadable:
    """A sample that training would replace."""

    sample: int
    """Its number in the shards."""
    fault: Fault


@dataclass(frozen=True)
class Tally:
    """What was seen of some samples."""

    samples: int = 0
    size_bytes: int = 0
    without_caption: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How many pictures have which (width, height); of latents, that of their images."""
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
    """Where the shards are, and where their files are kept while they are read."""

    local: str
    remote: str | None = None


@cache
def _shards(place: ShardsLocation) -> tuple[Any, list[Any]]:
    """The stream and the readers of its shards, one set for each process."""
    stream = Stream(remote=place.remote, local=place.local, download_retry=2, download_timeout=DOWNLOAD_SECONDS)
    return stream, stream.get_shards(World.detect(), False)


def _picture_size(image: Any) -> tuple[int, int]:
    """Width and height of a picture that can be decoded. Raises what codecs raise."""
    if isinstance(image, Image.Image):
        return rgb(image).size
    with opened(image) as picture:
        picture.load()
        return rgb(picture).size


def _latents(sample: dict[str, Any], side: int | None) -> tuple[tuple[int, int], bool]:
    """Width and height of the image that latents stand for, and whether it has no caption. Raises ValueError."""
    moments = np.frombuffer(sample["moments"], np.float16)
    edge = round((len(moments) / MOMENTS) ** 0.5)
    if MOMENTS * edge * edge != len(moments) or (side is not None and edge * 8 != side):
        raise ValueError(f"{len(moments)} moments are not those of an image of {side or 'any'} pixels")
    if not np.isfinite(moments).all():
        raise ValueError("its moments are not all finite")
    tokens = np.frombuffer(sample["tokens"], np.uint16)
    if len(tokens) != TOKENS or tokens.max() >= VOCABULARY:
        raise ValueError("its tokens are not 77 of the vocabulary")
    return (edge * 8, edge * 8), bool(tokens[1] == VOCABULARY - 1)


def _seen(sample: dict[str, Any], index: Index) -> Tally:
    """One sample. Raises what codecs raise."""
    size_bytes = sum(len(value) for value in sample.values() if isinstance(value, bytes | str))
    if index.columns >= LATENT_COLUMNS.keys():
        described = index.description
        size, empty = _latents(sample, described.image_size if described else None)
        return Tally(1, size_bytes, int(empty), Counter((size,)))
    return Tally(1, size_bytes, int(not sample["caption"].strip()), Counter((_picture_size(sample["image"]),)))


def _fault(error: Exception) -> Fault:
    return error.fault if isinstance(error, UnusableImage) else Fault(SkipReason.DAMAGED, " ".join(str(error).split()))


def _shard(number: int, place: ShardsLocation, index: Index) -> Tally:
    """All samples of one shard. Raises what storage raises."""
    stream, shards = _shards(place)
    shard = shards[number]
    first = sum(len(before) for before in shards[:number])
    stream.prepare_shard(shard)
    tally = Tally()
    for at in range(len(shard)):
        try:
            tally += _seen(shard[at], index)
        except FileNotFoundError:
            raise
        except Exception as error:  # codecs raise whatever they like
            tally += Tally(1, unreadable=(Unreadable(first + at, _fault(error)),))
    if place.remote is not None:
        shard.evict()
    return tally


def _one(number: int, place: ShardsLocation, index: Index) -> Tally:
    """All samples of one shard; all of them unreadable if the shard cannot be had."""
    try:
        return _shard(number, place, index)
    except Exception as error:
        shards = _shards(place)[1]
        first = sum(len(before) for before in shards[:number])
        fault = Fault(SkipReason.FILE_UNREADABLE, f"shard {number}: {' '.join(str(error).split())}")
        lost = tuple(Unreadable(first + at, fault) for at in range(len(shards[number])))
        return Tally(len(lost), unreadable=lost)


def _require_index(place: ShardsLocation, shards: str) -> tuple[Index, int]:
    """The index, and how many shards it lists. Raises ShardsRefused."""
    path = Path(place.local) / "index.json"
    try:
        _shards(place)
        index = index_in(path)
    except Exception as error:
        raise ShardsRefused(f"No shards at {shards}: {' '.join(str(error).split())}") from error
    if not index.columns >= IMAGE_COLUMNS.keys() and not index.columns >= LATENT_COLUMNS.keys():
        names = ", ".join(sorted(index.columns))
        raise ShardsRefused(f"The shards at {shards} have the columns {names}; image and caption are needed.")
    return index, len(json.loads(path.read_text())["shards"])


def check(shards: str, *, workers: int = 1, tell: Callable[[int], None] = lambda _: None) -> tuple[Index, Tally]:
    """Every sample of the shards in a folder or at a remote. Raises ShardsRefused, WorkerLost."""
    with tempfile.TemporaryDirectory(prefix="sdbench-check-") as temporary:
        remote = shards if "://" in shards else None
        place = ShardsLocation(temporary if remote else shards, remote)
        index, count = _require_index(place, shards)
        tally = Tally()
        for one in in_order(partial(_one, place=place, index=index), range(count), workers):
            tally += one
            tell(one.samples)
    return index, tally
