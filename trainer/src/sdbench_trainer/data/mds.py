"""Streams batches from MDS shards of photographs or of latents.

A batch of B samples holds image uint8 [B, S, S, 3] or moments fp16 [B, 8, S/8, S/8], tokens int64 [B, 77] and draw
int64 [B] (see `stable_diffusion.Batch`). REPLACED counts its unreadable samples; `TimedLoader` removes that entry.
Pixels stay uint8 until they are on the device.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from streaming import StreamingDataLoader, StreamingDataset
from tokenizers import Tokenizer  # type: ignore[import-untyped]

from sdbench_trainer.config import Encoding, TrainerConfig
from sdbench_trainer.data.crop import crop_square, decode_square, tensor_of
from sdbench_trainer.data.decode import UnusableImage, one_line, rgb
from sdbench_trainer.data.index import INDEX, MOMENTS, PIXELS_PER_LATENT, index_in, unsuitable
from sdbench_trainer.data.remote import DOWNLOAD_SECONDS
from sdbench_trainer.data.tokenizer import CONTEXT, token_ids
from sdbench_trainer.errors import ConfigInvalid, DataMissing
from sdbench_trainer.model.noise import draw_seed
from sdbench_trainer.model.stable_diffusion import Batch
from sdbench_trainer.parent_death import die_with_parent
from sdbench_trainer.run import DataSource, unsupported_for_pods

CANONICAL_NODES = 64
REPLACED = "replaced"
TRIES = 8
"""Samples that are tried, the unreadable one included, before a placeholder is used."""
GREY = 128
LATENTS_AHEAD = 16_384
"""Latents that Streaming prepares ahead if the cache has no limit."""
GIBIBYTE = 1 << 30
MakeDataset = Callable[..., "ShardDataset"]
UNREADABLE = (UnusableImage, ValueError, IndexError, KeyError, TypeError)
"""What a damaged sample raises while it is read from its shard and decoded."""


@dataclass(frozen=True)
class Share:
    """The part of each global batch that one rank trains on."""

    image_size: int
    per_device: int
    rank: int
    world: int
    seed: int


class ShardDataset(StreamingDataset, ABC):  # type: ignore[misc]
    """The samples of MDS shards; an unreadable one is replaced by the next readable one, the same in every run."""

    def __init__(self, seed: int, **settings: Any) -> None:
        super().__init__(shuffle_seed=seed, **settings)
        self.seed = seed
        self._download_error: str | None = None

    @abstractmethod
    def extract(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The values that a batch needs from a sample. Raises one of UNREADABLE."""

    @abstractmethod
    def placeholder(self) -> dict[str, Any]:
        """The values that replace a sample if the next ones are unreadable, too: a grey image without a caption."""

    def _read(self, at: int) -> dict[str, Any] | None:
        try:
            return self.extract(super().__getitem__(at))
        except UNREADABLE:  # the sample is damaged, so another can replace it
            return None
        except (OSError, RuntimeError) as error:  # the shard is lost, with many samples
            raise DataMissing(f"The shard that holds sample {at} cannot be read: {error}") from error

    def __getitem__(self, at: int) -> dict[str, Any]:
        """One sample, or its replacement; `draw` depends on the seed, the epoch and the sample's own index only."""
        draw = draw_seed(self.seed, self.next_epoch, at)
        for step in range(TRIES):
            if (sample := self._read((at + step) % self.num_samples)) is not None:
                return {**sample, "draw": draw, REPLACED: int(step > 0)}
        return {**self.placeholder(), "draw": draw, REPLACED: 1}

    def on_exception(self, future: "Future[Any]") -> None:
        """Keeps the error of a background download, which Streaming only logs."""
        error = future.exception()
        if error is not None:
            self._download_error = one_line(error)
        super().on_exception(future)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The samples of this rank and worker. Raises DataMissing where Streaming would end the epoch early."""
        yield from super().__iter__()
        if self._download_error is not None:
            raise DataMissing(f"A shard could not be downloaded: {self._download_error}")


class ShardedImages(ShardDataset):
    """The images of MDS shards with columns image (bytes) and caption (str)."""

    def __init__(self, image_size: int, seed: int, **settings: Any) -> None:
        super().__init__(seed, **settings)
        self.image_size = image_size

    def extract(self, sample: dict[str, Any]) -> dict[str, Any]:
        image, caption = sample["image"], sample["caption"]
        # Other tools store images with the type pil, which Streaming decodes.
        if isinstance(image, Image.Image):
            return {"image": crop_square(tensor_of(rgb(image)), self.image_size), "caption": caption}
        return {"image": decode_square(image, self.image_size), "caption": caption}

    def placeholder(self) -> dict[str, Any]:
        side = self.image_size
        return {"image": torch.full((side, side, 3), GREY, dtype=torch.uint8), "caption": ""}


class ShardedLatents(ShardDataset):
    """The latents of MDS shards with columns moments (fp16) and tokens (uint16), both as raw bytes."""

    def __init__(self, image_size: int, seed: int, empty_tokens: bytes, **settings: Any) -> None:
        super().__init__(seed, **settings)
        # Two bytes for each number in fp16.
        self.size_bytes = MOMENTS * (image_size // PIXELS_PER_LATENT) ** 2 * 2
        self.empty_tokens = empty_tokens

    def extract(self, sample: dict[str, Any]) -> dict[str, Any]:
        # The bytes stay as they are: the collation joins those of a whole batch.
        if len(sample["moments"]) != self.size_bytes or len(sample["tokens"]) != CONTEXT * 2:
            raise ValueError("the moments or the tokens have the wrong size")
        return sample

    def placeholder(self) -> dict[str, Any]:
        # Zero moments stand for a grey image.
        return {"moments": bytes(self.size_bytes), "tokens": self.empty_tokens}


def _common(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """The entries that every batch has."""
    return {
        "draw": torch.tensor([sample["draw"] for sample in samples]),
        REPLACED: sum(sample[REPLACED] for sample in samples),
    }


def collated(samples: list[dict[str, Any]], tokenizer: Tokenizer) -> Batch:
    """A batch of images; its captions are tokenized together, which is several times faster."""
    return {
        "image": torch.stack([sample["image"] for sample in samples]),
        "tokens": torch.tensor(token_ids(tokenizer, [sample["caption"] for sample in samples])),
        **_common(samples),
    }


def collated_latents(samples: list[dict[str, Any]], side: int) -> Batch:
    """A batch of latents [B, 8, side, side]; the samples' bytes are copied only once."""
    moments = bytearray().join([sample["moments"] for sample in samples])
    tokens = np.frombuffer(b"".join([sample["tokens"] for sample in samples]), np.uint16).astype(np.int64)
    return {
        "moments": torch.frombuffer(moments, dtype=torch.float16).view(len(samples), MOMENTS, side, side),
        "tokens": torch.from_numpy(tokens).view(len(samples), CONTEXT),
        **_common(samples),
    }


def canonical_nodes(config: TrainerConfig, nodes: int) -> int:
    """The parts into which Streaming divides the shards: equal for all usual node counts, so they see equal batches.

    Raises ConfigInvalid if the configured number does not fit the nodes.
    """
    if unfit := unsupported_for_pods(config, nodes):
        raise ConfigInvalid(f"trainer.{unfit.field}: {unfit.sentence}.")
    # Streaming wants a multiple or a divisor of the nodes.
    fits = CANONICAL_NODES % nodes == 0 or nodes % CANONICAL_NODES == 0
    return config.loader.canonical_nodes or (CANONICAL_NODES if fits else nodes)


def samples_ahead(config: TrainerConfig) -> int | None:
    """The samples to prepare ahead; None selects Streaming's default of 8 batches."""
    knobs = config.loader
    # Streaming wakes up only some 140 times a second to prepare more; a loader of latents reads hundreds meanwhile.
    # In a limited cache, so many samples ahead would evict each other.
    prepare_many = config.encoding is Encoding.PRECOMPUTED and knobs.cache_limit_gibibytes is None
    return knobs.predownload_samples or (LATENTS_AHEAD if prepare_many else None)


def _open_shards(
    make: MakeDataset, source: DataSource, share: Share, config: TrainerConfig, nodes: int, cache: Path
) -> ShardDataset:
    """Opens the shards. Raises DataMissing, ConfigInvalid."""
    limit = config.loader.cache_limit_gibibytes if source.remote else None
    parts = canonical_nodes(config, nodes)
    try:
        return make(
            remote=source.remote,
            local=str(cache) if source.remote else source.local,
            shuffle=True,
            batch_size=share.per_device,
            num_canonical_nodes=parts,
            predownload=samples_ahead(config),
            cache_limit=None if limit is None else limit * GIBIBYTE,
            download_timeout=DOWNLOAD_SECONDS,
        )
    except Exception as error:
        # Streaming's error is a plain ValueError if the cache cannot hold four of the largest shards.
        if "cache limit" in str(error).lower():
            raise ConfigInvalid(f"loader.cacheLimitGibibytes {limit} is too small for these shards: {error}") from error
        raise DataMissing(f"No shards at {source.remote or source.local}: {error}") from error


def _require_suitable(dataset: ShardDataset, place: str | None, share: Share, config: TrainerConfig) -> None:
    """Raises ConfigInvalid if the run cannot train from the shards, and DataMissing if they hold too few samples."""
    try:
        reason = unsuitable(index_in(Path(dataset.streams[0].local) / INDEX), config)
    except ValueError as error:
        raise DataMissing(f"No shards at {place}: {error}.") from error
    if reason is not None:
        raise ConfigInvalid(f"The run cannot train from the shards at {place}: {reason}.")
    wanted, parts = share.per_device * share.world, dataset.num_canonical_nodes
    if dataset.size < wanted:
        raise DataMissing(
            f"The shards at {place} hold {dataset.size} samples, fewer than one global batch of {wanted}."
        )
    if dataset.size < parts:
        raise DataMissing(
            f"The shards at {place} hold {dataset.size} samples, but loader.canonicalNodes needs at least {parts}."
        )


def shard_loader(
    source: DataSource,
    share: Share,
    config: TrainerConfig,
    tokenizer: Tokenizer,
    *,
    nodes: int,
    cache: Path,
    pinned: bool = False,
) -> Any:
    """A loader of the source's shards; remote shards are stored in `cache`. Raises DataMissing, ConfigInvalid."""
    place, knobs = source.remote or source.local, config.loader
    if config.encoding is Encoding.PRECOMPUTED:
        empty = np.array(token_ids(tokenizer, [""])[0], np.uint16).tobytes()
        make: MakeDataset = partial(ShardedLatents, share.image_size, share.seed, empty)
        collate: Callable[..., Batch] = partial(collated_latents, side=share.image_size // PIXELS_PER_LATENT)
    else:
        make = partial(ShardedImages, share.image_size, share.seed)
        collate = partial(collated, tokenizer=tokenizer)
    dataset = _open_shards(make, source, share, config, nodes, cache)
    _require_suitable(dataset, place, share, config)
    workers: dict[str, Any] = {"num_workers": knobs.workers}
    # PyTorch refuses a prefetch factor and persistent workers if there are no workers.
    if knobs.workers:
        workers |= {"prefetch_factor": knobs.prefetch_batches, "persistent_workers": True}
        workers["worker_init_fn"] = die_with_parent
    return StreamingDataLoader(
        dataset, batch_size=share.per_device, drop_last=True, collate_fn=collate, pin_memory=pinned, **workers
    )
