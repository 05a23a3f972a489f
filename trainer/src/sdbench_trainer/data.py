"""Where do batches come from? From streamed MDS shards, or from a pool of synthetic images.

A batch of B holds image uint8 [B, S, S, 3], tokens int64 [B, 77] and draw int64 [B], see `model.Batch`. Pixels stay
uint8 until they are on the device.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from streaming import StreamingDataLoader, StreamingDataset
from tokenizers import Tokenizer  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

from sdbench_trainer.config import Loader
from sdbench_trainer.failures import DataMissing
from sdbench_trainer.model import Batch
from sdbench_trainer.noise import draw_seed
from sdbench_trainer.orphans import die_with_parent
from sdbench_trainer.run import Source
from sdbench_trainer.tokenizer import token_ids

CANONICAL_NODES = 64
POOL = 64
DOWNLOAD_SECONDS = 60


@dataclass(frozen=True)
class Share:
    """Which part of each global batch one rank takes."""

    image_size: int
    per_device: int
    rank: int
    world: int
    seed: int


def square(image: Tensor, side: int) -> Tensor:
    """uint8 [side, side, 3] of uint8 [3, H, W]: the centre, its aspect kept.

    `interpolate` on uint8 and not torchvision's resize, which goes through float32 on machines with AVX-512.
    """
    height, width = image.shape[1:]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    centre = image[None, :, top : top + edge, left : left + edge]
    scaled = functional.interpolate(centre, (side, side), mode="bilinear", antialias=True) if edge != side else centre
    return scaled[0].permute(1, 2, 0).contiguous()


def decoded(encoded: bytes) -> Tensor:
    """uint8 [3, H, W] of an image file's bytes."""
    from torchvision.io import ImageReadMode, decode_image

    image: Tensor = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return image


class ShardedImages(StreamingDataset):  # type: ignore[misc]
    """The images of MDS shards with columns image (bytes) and caption (str)."""

    def __init__(self, image_size: int, seed: int, **settings: Any) -> None:
        super().__init__(shuffle_seed=seed, **settings)
        self.image_size = image_size
        self.seed = seed

    def __getitem__(self, at: int) -> dict[str, Any]:
        """One sample; `draw` depends on the seed, the epoch and the sample's place in the shards."""
        sample = super().__getitem__(at)
        try:
            image = square(decoded(sample["image"]), self.image_size)
        except (KeyError, RuntimeError) as error:
            raise DataMissing(f"Sample {at} of the shards holds no readable image: {error}") from error
        return {"image": image, "caption": sample["caption"], "draw": draw_seed(self.seed, self.next_epoch, at)}


def collated(samples: list[dict[str, Any]], tokenizer: Tokenizer) -> Batch:
    """One batch of samples; captions are tokenised together, which is several times faster."""
    return {
        "image": torch.stack([sample["image"] for sample in samples]),
        "tokens": torch.tensor(token_ids(tokenizer, [sample["caption"] for sample in samples])),
        "draw": torch.tensor([sample["draw"] for sample in samples]),
    }


def canonical_nodes(nodes: int) -> int:
    """How Streaming divides the shards: the same for all usual node counts, so that they see the same batches."""
    return CANONICAL_NODES if CANONICAL_NODES % nodes == 0 or nodes % CANONICAL_NODES == 0 else nodes


def shard_loader(
    source: Source, share: Share, knobs: Loader, tokenizer: Tokenizer, *, nodes: int, cache: Path, pinned: bool = False
) -> Any:
    """A loader over the source's shards; remote ones are kept in the cache folder. Raises DataMissing."""
    place = source.remote or source.local
    try:
        dataset = ShardedImages(
            share.image_size,
            share.seed,
            remote=source.remote,
            local=str(cache) if source.remote else source.local,
            shuffle=True,
            batch_size=share.per_device,
            num_canonical_nodes=canonical_nodes(nodes),
            download_timeout=DOWNLOAD_SECONDS,
        )
    except Exception as error:
        raise DataMissing(f"No shards at {place}: {error}") from error
    wanted = share.per_device * share.world
    if dataset.size < wanted:
        raise DataMissing(f"The shards at {place} hold {dataset.size} images, fewer than one global batch of {wanted}.")
    if dataset.size < CANONICAL_NODES:
        raise DataMissing(f"The shards at {place} hold {dataset.size} images; at least {CANONICAL_NODES} are needed.")
    workers: dict[str, Any] = {"num_workers": knobs.workers}
    if knobs.workers:
        workers |= {
            "prefetch_factor": knobs.prefetch_batches,
            "persistent_workers": True,
            "worker_init_fn": die_with_parent,
        }
    return StreamingDataLoader(
        dataset,
        batch_size=share.per_device,
        drop_last=True,
        collate_fn=partial(collated, tokenizer=tokenizer),
        pin_memory=pinned,
        **workers,
    )


class SyntheticImages:
    """An endless loader over a pool of random images; batches are slices of the pool and cost next to nothing.

    Image g of the run is number g mod POOL of the pool, on any number of ranks.
    """

    def __init__(self, share: Share, tokenizer: Tokenizer) -> None:
        generator = torch.Generator().manual_seed(share.seed)
        shape = (POOL, share.image_size, share.image_size, 3)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        tokens = torch.tensor(token_ids(tokenizer, [f"synthetic picture number {number}" for number in range(POOL)]))
        copies = -(-(POOL + share.per_device) // POOL)
        self.images = images.repeat(copies, 1, 1, 1)
        self.tokens = tokens.repeat(copies, 1)
        self.share = share
        self.batch_size = share.per_device

    def __iter__(self) -> Iterator[Batch]:
        size, world, rank, seed = self.share.per_device, self.share.world, self.share.rank, self.share.seed
        first = rank * size
        while True:
            place = slice(first % POOL, first % POOL + size)
            numbers = range(first, first + size)
            draw = torch.tensor([draw_seed(seed, 0, number) for number in numbers])
            yield {"image": self.images[place], "tokens": self.tokens[place], "draw": draw}
            first += world * size
