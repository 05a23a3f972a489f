"""Reads and writes what shards hold beyond their columns, under a key in their index.json that Streaming ignores.

There it cannot be lost on the way to a bucket. Shards that others wrote have none.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdbench_trainer.config import Boundary, Encoding, Model, TrainerConfig

KEY = "sdbench"
IMAGE_COLUMNS = {"image": "bytes", "caption": "str"}
LATENT_COLUMNS = {"moments": "bytes", "tokens": "bytes"}


class Description(Boundary):
    """What `shards build` wrote."""

    encoding: Encoding
    samples: int
    image_size: int | None = None
    """Side in pixels: the most that a stored square has, or that the latents stand for; None: photographs as found."""
    model: Model | None = None
    """Whose VAE made the latents, with the weights of this seed, in this number format."""
    seed: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Index:
    """What an index.json says."""

    columns: frozenset[str]
    samples: int
    description: Description | None


def index_in(path: Path) -> Index:
    """The index in a file. Raises ValueError with a sentence."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        shards: list[Mapping[str, Any]] = document["shards"]
        described = Description.model_validate(document[KEY]) if KEY in document else None
        columns = frozenset(shards[0]["column_names"]) if shards else frozenset()
        return Index(columns, sum(int(shard["samples"]) for shard in shards), described)
    except (ValidationError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no index of MDS shards ({type(error).__name__})") from error


def _missing_columns(index: Index, config: TrainerConfig) -> str | None:
    wanted = LATENT_COLUMNS if config.encoding is Encoding.PRECOMPUTED else IMAGE_COLUMNS
    if index.columns >= wanted.keys():
        return None
    if index.columns >= LATENT_COLUMNS.keys():
        return "they hold latents, not photographs: set encoding: precomputed"
    if index.columns >= IMAGE_COLUMNS.keys():
        return "they hold photographs, not latents: build others with `shards build --latents`, or set encoding: online"
    return f"their columns are {', '.join(sorted(index.columns))}; {' and '.join(wanted)} are needed"


def _unlike(description: Description, config: TrainerConfig) -> Iterator[str]:
    if config.encoding is Encoding.ONLINE:
        if description.image_size is not None and description.image_size < config.image_size:
            yield f"their images are {description.image_size} pixels wide, and imageSize is {config.image_size}"
        return
    if description.image_size != config.image_size:
        yield f"their latents are of imageSize {description.image_size}, and the run's is {config.image_size}"
    if description.model is not config.model:
        yield f"their latents are of model {description.model}, and the run's is {config.model}"
    if description.seed != config.seed:
        yield f"their latents are of the weights of seed {description.seed}, and the run's is {config.seed}"


def unsuitable(index: Index, config: TrainerConfig) -> str | None:
    """Why a run cannot train from these shards, as half a sentence; None if it can."""
    if missing := _missing_columns(index, config):
        return missing
    if index.description is None:
        latents = config.encoding is Encoding.PRECOMPUTED
        return "they do not say which model and seed made the latents" if latents else None
    return next(_unlike(index.description, config), None)
