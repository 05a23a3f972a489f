"""Checks that shards are intact: several workers read and decode every sample of a folder or a remote."""

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from streaming import Stream
from streaming.base.world import World

from sdbench_trainer.data.decode import SkipReason, UnusableImage, one_line, opened, rgb
from sdbench_trainer.data.index import IMAGE_COLUMNS, INDEX, LATENT_COLUMNS, MOMENTS, PIXELS_PER_LATENT, Index, index_in
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
    reason: SkipReason
    detail: str


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
        # Every field can be added: numbers, a Counter, a tuple.
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def check(
    shards: str, *, workers: int = 1, report_progress: Callable[[int], None] = ignore_progress
) -> tuple[Index, Tally]:
    """Reads every sample of the shards in a folder or at a remote. Raises ShardsRefused, WorkerLost."""
    with tempfile.TemporaryDirectory(prefix="sdbench-check-") as temporary:
        remote = shards if "://" in shards else None
        local = temporary if remote else shards
        try:
            _, readers = _open_shards(local, remote)
            index = index_in(Path(local) / INDEX)
        except Exception as error:
            raise ShardsRefused(f"No shards at {shards}: {one_line(error)}") from error
        if not index.columns >= IMAGE_COLUMNS.keys() and not index.columns >= LATENT_COLUMNS.keys():
            names, needed = ", ".join(sorted(index.columns)), "image and caption, or moments and tokens"
            raise ShardsRefused(f"The shards at {shards} have the columns {names}, but need {needed}.")
        tally = Tally()
        check_shard = partial(_check_shard, local=local, remote=remote, index=index)
        for checked in in_order(check_shard, range(len(readers)), workers):
            tally += checked
            report_progress(checked.samples)
    return index, tally


@cache  # once per process
def _open_shards(local: str, remote: str | None) -> tuple[Any, list[Any]]:
    """The stream and the readers of its shards; `local` holds the files of a remote while they are read."""
    stream = Stream(remote=remote, local=local, download_retry=2, download_timeout=DOWNLOAD_SECONDS)
    # Unsafe types are columns that Python would unpickle, which may run any code.
    return stream, stream.get_shards(World.detect(), allow_unsafe_types=False)


def _check_shard(number: int, local: str, remote: str | None, index: Index) -> Tally:
    """The Tally of one shard; all of its samples are unreadable if the shard itself cannot be read."""
    stream, shards = _open_shards(local, remote)
    shard = shards[number]
    first = sum(len(before) for before in shards[:number])
    try:
        stream.prepare_shard(shard)
        tally = Tally()
        for at in range(len(shard)):
            try:
                tally += _check_sample(shard[at], index)
            except FileNotFoundError:  # the shard is lost, not the sample
                raise
            except UnusableImage as error:
                tally += Tally(1, unreadable=(Unreadable(first + at, error.reason, error.detail),))
            except Exception as error:  # codecs raise arbitrary exceptions
                tally += Tally(1, unreadable=(Unreadable(first + at, SkipReason.DAMAGED, one_line(error)),))
        # The disk need not hold the whole remote.
        if remote is not None:
            shard.evict()
        return tally
    except Exception as error:
        detail = f"shard {number}: {one_line(error)}"
        lost = tuple(Unreadable(first + at, SkipReason.FILE_UNREADABLE, detail) for at in range(len(shard)))
        return Tally(len(lost), unreadable=lost)


def _check_sample(sample: dict[str, Any], index: Index) -> Tally:
    """The Tally of one sample. Raises whatever the codecs raise."""
    size_bytes = sum(len(value) for value in sample.values() if isinstance(value, bytes | str))
    if index.columns >= LATENT_COLUMNS.keys():
        size, empty = _check_latents(sample, index.description.image_size if index.description else None)
        return Tally(1, size_bytes, int(empty), Counter((size,)))
    image, empty = sample["image"], not sample["caption"].strip()
    # Streaming has decoded the images of type pil, which other tools write.
    with nullcontext(image) if isinstance(image, Image.Image) else opened(image) as picture:
        picture.load()
        return Tally(1, size_bytes, int(empty), Counter((rgb(picture).size,)))


def _check_latents(sample: dict[str, Any], side: int | None) -> tuple[tuple[int, int], bool]:
    """The size of the image that latents stand for, and whether its caption is empty. Raises ValueError."""
    moments = np.frombuffer(sample["moments"], np.float16)
    edge = round((len(moments) / MOMENTS) ** 0.5)
    found = edge * PIXELS_PER_LATENT
    if MOMENTS * edge * edge != len(moments) or (side is not None and found != side):
        raise ValueError(f"{len(moments)} moments do not fit an image of {side or 'any number of'} pixels a side")
    if not np.isfinite(moments).all():
        raise ValueError("some of its moments are not finite")
    tokens = np.frombuffer(sample["tokens"], np.uint16)
    if len(tokens) != CONTEXT or tokens.max() >= VOCABULARY:
        raise ValueError(f"its tokens are not {CONTEXT} ids below {VOCABULARY}")
    # An empty caption ends right after its start, and the end is the vocabulary's last id.
    return (found, found), bool(tokens[1] == VOCABULARY - 1)
