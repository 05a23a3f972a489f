"""Counts the FLOP that one image needs, on meta tensors, and derives the model FLOPs utilisation from them.

A multiplication with its addition is 2 FLOP; convolutions, matrix products and attention count. These are model FLOPs:
the optimizer and what gradient checkpointing recomputes do not count (Chowdhery et al. 2022, appendix B).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sdbench_trainer.config import Encoding, Model, TrainerConfig
from sdbench_trainer.data.index import PIXELS_PER_LATENT
from sdbench_trainer.data.tokenizer import CONTEXT
from sdbench_trainer.model.stable_diffusion import networks_on_meta


@dataclass(frozen=True)
class ImageFlops:
    """FLOP of one image through each network."""

    unet: int
    """Forward and backward pass."""
    vae: int
    """Forward pass of the encoder."""
    text_encoder: int
    """Forward pass."""

    def needed(self, encoding: Encoding) -> int:
        """The FLOP of one image in a training step; precomputed latents need no VAE."""
        return self.unet + self.text_encoder + (self.vae if encoding is Encoding.ONLINE else 0)


def _counted(forward: Any, *, backward: bool) -> int:
    """The FLOP of one call of `forward`, which returns a Tensor."""
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        output: Tensor = forward()
        if backward:
            output.sum().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def image_flops(model: Model, image_size: int) -> ImageFlops:
    """Counts for one image of image_size x image_size, without memory for weights."""
    networks: Any = networks_on_meta(model)
    side = image_size // PIXELS_PER_LATENT
    with torch.device("meta"):
        image, latents = torch.zeros(1, 3, image_size, image_size), torch.zeros(1, 4, side, side)
        timesteps, tokens = torch.zeros(1, dtype=torch.int64), torch.zeros(1, CONTEXT, dtype=torch.int64)
        context = torch.zeros(1, CONTEXT, networks.unet.config.cross_attention_dim)
        return ImageFlops(
            unet=_counted(lambda: networks.unet(latents, timesteps, context).sample, backward=True),
            vae=_counted(lambda: networks.vae.quant_conv(networks.vae.encoder(image)), backward=False),
            text_encoder=_counted(lambda: networks.text_encoder(input_ids=tokens)[0], backward=False),
        )


def flops_per_image(config: TrainerConfig) -> float:
    """The FLOP of one image in this run's training steps."""
    return float(image_flops(config.model, config.image_size).needed(config.encoding))


@dataclass(frozen=True)
class Arithmetic:
    """The FLOP that an image needs, and the FLOP/s that the devices can do at most."""

    flop: float
    """FLOP of one image."""
    devices: int
    peak_teraflops: float | None

    def mfu_ratio(self, images_per_second: float) -> float | None:
        """Model FLOPs utilisation at a speed: needed over possible FLOP/s; None if the peak is unknown."""
        if not self.peak_teraflops:
            return None
        return self.flop * images_per_second / (self.devices * self.peak_teraflops * 1e12)
