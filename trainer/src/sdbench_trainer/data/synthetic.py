"""Generates synthetic batches out of a pool of random images or random latents.

A batch is a slice of the pool, so it costs next to nothing. Image g of the run is number g mod POOL of the pool, on any
number of ranks.
"""

from collections.abc import Iterator

import torch
from tokenizers import Tokenizer  # type: ignore[import-untyped]
from torch import Tensor

from sdbench_trainer.config import Encoding
from sdbench_trainer.data.index import MOMENTS
from sdbench_trainer.data.mds import Share
from sdbench_trainer.data.tokenizer import token_ids
from sdbench_trainer.model.noise import draw_seed
from sdbench_trainer.model.stable_diffusion import Batch

POOL = 64


def _images(side: int, generator: torch.Generator) -> Tensor:
    """Random pixels, uint8 [POOL, side, side, 3]."""
    return torch.randint(0, 256, (POOL, side, side, 3), dtype=torch.uint8, generator=generator)


def _moments(side: int, generator: torch.Generator) -> Tensor:
    """Random means and log variances, standard normal, fp16 [POOL, 8, side/8, side/8]."""
    return torch.randn((POOL, MOMENTS, side // 8, side // 8), generator=generator).half()


class SyntheticImages:
    """An endless loader over a pool of random images, or of random latents if the encoding is precomputed."""

    def __init__(self, share: Share, tokenizer: Tokenizer, encoding: Encoding = Encoding.ONLINE) -> None:
        generator = torch.Generator().manual_seed(share.seed)
        self.name = "image" if encoding is Encoding.ONLINE else "moments"
        pool = (_images if encoding is Encoding.ONLINE else _moments)(share.image_size, generator)
        tokens = torch.tensor(token_ids(tokenizer, [f"synthetic picture number {number}" for number in range(POOL)]))
        # Enough copies for a whole batch to follow the last start in the pool.
        copies = -(-(POOL + share.per_device) // POOL)
        self.pool = pool.repeat(copies, 1, 1, 1)
        self.tokens = tokens.repeat(copies, 1)
        self.share = share
        self.batch_size = share.per_device

    def __iter__(self) -> Iterator[Batch]:
        size, world, rank, seed = self.share.per_device, self.share.world, self.share.rank, self.share.seed
        first = rank * size
        while True:
            place = slice(first % POOL, first % POOL + size)
            draw = torch.tensor([draw_seed(seed, 0, number) for number in range(first, first + size)])
            yield {self.name: self.pool[place], "tokens": self.tokens[place], "draw": draw}
            first += world * size
