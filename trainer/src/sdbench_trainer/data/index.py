"""Reads the index.json of shards and decides whether a run can train from them.

`shards build` describes what it wrote in the index itself, so that the description cannot get lost on the way to a
bucket. Shards from other tools have no description.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdbench_trainer.config import Boundary, Encoding, Model, TrainerConfig

INDEX = "index.json"
"""The index of a folder or remote of shards, as Streaming names it."""
KEY = "sdbench"
"""The key of the description in the index; Streaming ignores it."""
IMAGE_COLUMNS = {"image": "bytes", "caption": "str"}
LATENT_COLUMNS = {"moments": "bytes", "tokens": "bytes"}
MOMENTS = 8
"""Channels of stored latents: four means and four log variances."""
PIXELS_PER_LATENT = 8
"""The VAE's scale: a latent stands for a square of this many pixels a side."""


class Description(Boundary):
    """What `shards build` wrote."""

    encoding: Encoding
    samples: int
    image_size: int | None = None
    """Side in pixels: the maximum of the stored squares, or the side that the latents stand for. None: no crop."""
    model: Model | None = None
    """The model whose VAE made the latents, with the weights of this seed, in this number format."""
    seed: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Index:
    """The content of an index.json."""

    columns: frozenset[str]
    samples: int
    description: Description | None


def index_in(path: Path) -> Index:
    """Reads an index.json. Raises ValueError with a sentence that has no full stop."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        shards: list[Mapping[str, Any]] = document["shards"]
        description = Description.model_validate(document[KEY]) if KEY in document else None
        columns = frozenset(shards[0]["column_names"]) if shards else frozenset()
        return Index(columns, sum(int(shard["samples"]) for shard in shards), description)
    except (ValidationError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a valid index of MDS shards ({type(error).__name__})") from error


def unsuitable(index: Index, config: TrainerConfig) -> str | None:
    """The reason why a run cannot train from these shards, as a clause; None if it can."""
    latents = config.encoding is Encoding.PRECOMPUTED
    wanted = LATENT_COLUMNS if latents else IMAGE_COLUMNS
    if not index.columns >= wanted.keys():
        if index.columns >= LATENT_COLUMNS.keys():
            return "they hold latents, not photographs; set encoding: precomputed"
        if index.columns >= IMAGE_COLUMNS.keys():
            online = "or set encoding: online"
            return f"they hold photographs, not latents; build shards with `shards build --latents`, {online}"
        return f"they have the columns {', '.join(sorted(index.columns))}, but need {' and '.join(wanted)}"
    if index.description is None:
        return "the index does not say which model and seed made the latents" if latents else None
    return next(_mismatches(index.description, config), None)


def _mismatches(description: Description, config: TrainerConfig) -> Iterator[str]:
    if config.encoding is Encoding.ONLINE:
        # Larger images are cropped to the run's size; smaller ones would have to be enlarged.
        if description.image_size is not None and description.image_size < config.image_size:
            yield f"their images are stored with {description.image_size} pixels, but imageSize is {config.image_size}"
        return
    # The VAE's weights and the crop are in the latents, so the run has to have the same.
    if description.image_size != config.image_size:
        yield f"their latents have imageSize {description.image_size}, but the run has {config.image_size}"
    if description.model is not config.model:
        yield f"their latents come from model {description.model}, but the run trains {config.model}"
    if description.seed != config.seed:
        yield f"their latents come from weights of seed {description.seed}, but the run has seed {config.seed}"
