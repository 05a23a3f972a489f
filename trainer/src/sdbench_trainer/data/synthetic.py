"""Generates synthetic batches out of a pool of random images or random latents.

A batch is a slice of the pool, so it costs next to nothing. Image g of the run is number g mod POOL of the pool, on any
number of ranks.
"""

from collections.abc import Iterator
from itertools import count

import torch
from tokenizers import Tokenizer  # type: ignore[import-untyped]

from sdbench_trainer.config import Encoding
from sdbench_trainer.data.index import MOMENTS, PIXELS_PER_LATENT
from sdbench_trainer.data.mds import Share
from sdbench_trainer.data.tokenizer import token_ids
from sdbench_trainer.model.noise import draw_seed
from sdbench_trainer.model.stable_diffusion import Batch

POOL = 64


class SyntheticImages:
    """An endless loader over a pool of random images, or of random latents if the encoding is precomputed."""

    def __init__(self, share: Share, tokenizer: Tokenizer, encoding: Encoding = Encoding.ONLINE) -> None:
        generator, side = torch.Generator().manual_seed(share.seed), share.image_size
        if encoding is Encoding.ONLINE:
            self.name = "image"
            pool = torch.randint(0, 256, (POOL, side, side, 3), dtype=torch.uint8, generator=generator)
        else:
            self.name, edge = "moments", side // PIXELS_PER_LATENT
            pool = torch.randn((POOL, MOMENTS, edge, edge), generator=generator).half()
        tokens = torch.tensor(token_ids(tokenizer, [f"synthetic picture number {number}" for number in range(POOL)]))
        # Enough copies for a whole batch to follow the last start in the pool.
        copies = -(-(POOL + share.per_device) // POOL)
        self.pool = pool.repeat(copies, 1, 1, 1)
        self.tokens = tokens.repeat(copies, 1)
        self.share = share
        self.batch_size = share.per_device

    def __iter__(self) -> Iterator[Batch]:
        size = self.batch_size
        for first in count(self.share.rank * size, self.share.world * size):
            place = slice(first % POOL, first % POOL + size)
            draw = torch.tensor([draw_seed(self.share.seed, 0, number) for number in range(first, first + size)])
            yield {self.name: self.pool[place], "tokens": self.tokens[place], "draw": draw}
