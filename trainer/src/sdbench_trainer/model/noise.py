"""Draws the random numbers of a sample, the same on any number of ranks and in microbatches of any size."""

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

TIMESTEPS = 1000


def draw_seed(seed: int, epoch: int, sample: int) -> int:
    """The seed of one sample's draws, a non-negative 63-bit number."""
    key = f"{seed}/{epoch}/{sample}".encode()
    # A hash, so that neighbouring samples and epochs have unrelated seeds; 63 bits fit into an int64 tensor.
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Draws:
    """The random numbers of a (micro)batch of B samples."""

    timesteps: Tensor
    """int64 [B], 0…999."""
    uniform: Tensor
    """float32 [B] in [0, 1): a caption is dropped if its number is below the dropout."""
    posterior: Tensor
    """float32 [B, 4, h, w], standard normal: selects the latents from the VAE's posterior."""
    noise: Tensor
    """float32 [B, 4, h, w], standard normal: the noise that the UNet must predict."""


def draws(seeds: list[int], latent_shape: tuple[int, int, int], device: torch.device) -> Draws:
    """The draws for a list of seeds, one for each sample, made on the device that needs them."""
    generator = torch.Generator(device)
    normal = torch.empty((len(seeds), 2, *latent_shape), device=device)
    uniform = torch.empty((len(seeds), 2), device=device)
    # Reseeded for each sample, so that its draws do not depend on the samples around it.
    for row, seed in enumerate(seeds):
        generator.manual_seed(seed)
        uniform[row].uniform_(generator=generator)
        normal[row].normal_(generator=generator)
    # A float32 just below 1 may become TIMESTEPS by the multiplication.
    timesteps = (uniform[:, 0] * TIMESTEPS).long().clamp_(max=TIMESTEPS - 1)
    return Draws(timesteps, uniform[:, 1], normal[:, 0], normal[:, 1])
