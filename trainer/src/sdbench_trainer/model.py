"""What is trained? Stable Diffusion from bundled configurations, with random weights; nothing is downloaded.

The UNet learns to find the noise in noisy latents. The VAE's encoder and the text encoder are frozen: they stand
outside the module tree, and so outside the optimiser, DDP, checkpoints and `train()`.
"""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, cast

import torch
from composer.models import ComposerModel
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel

from sdbench_trainer.config import Model, Precision
from sdbench_trainer.noise import TIMESTEPS, Draws, draws

FROZEN_DTYPE = {
    Precision.FP32: torch.float32,
    Precision.AMP_FP16: torch.float16,
    Precision.AMP_BF16: torch.bfloat16,
}

Batch = dict[str, Tensor]
"""image uint8 [B, S, S, 3], or moments fp16 [B, 8, S/8, S/8] where they are precomputed; tokens int64 [B, 77];
draw int64 [B]: the seed of each sample's draws."""


@dataclass(frozen=True)
class Networks:
    """The three networks of one Stable Diffusion."""

    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module


@dataclass(frozen=True)
class Frozen:
    """What is only ever read, all of it on the training device."""

    vae: nn.Module
    """Encoder and quant_conv of the autoencoder."""
    text_encoder: nn.Module
    alphas: Tensor
    """float32 [1000], see `alphas_cumulated`."""
    empty_tokens: Tensor
    """int64 [77]: what stands for a dropped caption."""


def configuration(model: Model, part: str) -> dict[str, Any]:
    """The bundled configuration of unet, vae, text_encoder or scheduler."""
    path = resources.files("sdbench_trainer") / "configs" / model.value / f"{part}.json"
    return cast(dict[str, Any], json.loads(path.read_text()))


def networks_on_meta(model: Model) -> Networks:
    """The networks with shapes but without memory."""
    with torch.device("meta"):
        return Networks(
            UNet2DConditionModel.from_config(configuration(model, "unet")),
            AutoencoderKL.from_config(configuration(model, "vae")),
            CLIPTextModel(CLIPTextConfig(**configuration(model, "text_encoder"))),
        )


def _fill(module: nn.Module, generator: torch.Generator) -> None:
    """Give one module's own parameters their first values: matrices by fan-in, scales one, offsets zero."""
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias":
            nn.init.zeros_(parameter)
        elif parameter.dim() == 1:
            nn.init.ones_(parameter)
        elif isinstance(module, nn.Embedding):
            parameter.normal_(0.0, 0.02, generator=generator)
        else:
            fan_in = parameter[0].numel()
            bound = fan_in**-0.5
            parameter.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def materialised(network: nn.Module, device: torch.device, seed: int) -> nn.Module:
    """A network built on meta, now in the device's memory with seeded weights."""
    network.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for module in network.modules():
        _fill(module, generator)
    for name, buffer in network.named_buffers():
        if not name.endswith("position_ids"):
            raise RuntimeError(f"buffer {name} has no first value")
        buffer.copy_(torch.arange(buffer.numel(), device=device).view_as(buffer))
    return network


def frozen(network: nn.Module, dtype: torch.dtype, device: torch.device, seed: int) -> nn.Module:
    """A network that is only ever read: cast before it takes memory, in eval mode, without gradients."""
    return materialised(network.to(dtype), device, seed).eval().requires_grad_(False)


def image_encoder(model: Model, dtype: torch.dtype, device: torch.device, seed: int) -> nn.Module:
    """The VAE's encoder and quant_conv, frozen; its weights follow from the run's seed."""
    vae: Any = networks_on_meta(model).vae
    del vae.decoder, vae.post_quant_conv
    return frozen(vae, dtype, device, seed + 1)


def alphas_cumulated(model: Model) -> Tensor:
    """float32 [1000]: the share of the signal's variance that is left at each timestep (DDPM, scaled linear)."""
    schedule = configuration(model, "scheduler")
    roots = torch.linspace(schedule["beta_start"] ** 0.5, schedule["beta_end"] ** 0.5, TIMESTEPS, dtype=torch.float64)
    return torch.cumprod(1.0 - roots**2, dim=0).float()


class StableDiffusion(ComposerModel):  # type: ignore[misc]
    """A UNet trained on the noise target. The frozen parts hang on a dataclass, out of PyTorch's sight."""

    def __init__(self, unet: nn.Module, frozen_parts: Frozen, *, caption_dropout: float, scaling_factor: float) -> None:
        super().__init__()
        self.unet = unet
        self.frozen_parts = frozen_parts
        self.caption_dropout = caption_dropout
        self.scaling_factor = scaling_factor

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The noise that the UNet sees and the noise that was added, both [B, 4, S/8, S/8]."""
        parts, device = self.frozen_parts, batch["tokens"].device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            seen = batch["moments"].float() if "moments" in batch else moments(parts.vae, batch["image"])
            drawn = draws(batch["draw"].tolist(), (4, *seen.shape[2:]), device)
            latents = self.picked(seen, drawn.posterior)
            dropped = drawn.uniform < self.caption_dropout
            tokens = torch.where(dropped[:, None], parts.empty_tokens[None], batch["tokens"])
            context = parts.text_encoder(input_ids=tokens)[0].float()
            noisy = noised(latents, drawn, parts.alphas)
        prediction = self.unet(noisy, drawn.timesteps, context, return_dict=False)[0]
        return prediction, drawn.noise

    def latents(self, images: Tensor, posterior: Tensor) -> Tensor:
        """float32 [B, 4, S/8, S/8] of uint8 images [B, S, S, 3], picked from the posterior."""
        return self.picked(moments(self.frozen_parts.vae, images), posterior)

    def picked(self, seen: Tensor, posterior: Tensor) -> Tensor:
        """float32 [B, 4, S/8, S/8] of moments [B, 8, S/8, S/8], picked from the posterior."""
        mean, log_variance = seen.chunk(2, dim=1)
        deviation = torch.exp(0.5 * log_variance.clamp(-30.0, 20.0))
        return (mean + deviation * posterior) * self.scaling_factor

    def loss(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> Tensor:  # noqa: ARG002 - Composer's signature
        """Mean squared error of the noise, in float32."""
        prediction, noise = outputs
        return functional.mse_loss(prediction.float(), noise)


def moments(encoder: Any, images: Tensor) -> Tensor:
    """float32 [B, 8, S/8, S/8], mean and log variance of the posterior, of uint8 images [B, S, S, 3]."""
    seen: Tensor = encoder.quant_conv(encoder.encoder(pixels(images, encoder.quant_conv.weight.dtype)))
    return seen.float()


def pixels(images: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, 3, S, S] in [-1, 1] of uint8 [B, S, S, 3]."""
    return images.permute(0, 3, 1, 2).to(dtype) / 127.5 - 1.0


def noised(latents: Tensor, drawn: Draws, alphas: Tensor) -> Tensor:
    """Latents with their share of noise at the drawn timesteps (Ho et al. 2020, eq. 4)."""
    signal = alphas[drawn.timesteps].view(-1, 1, 1, 1)
    noisy: Tensor = signal.sqrt() * latents + (1.0 - signal).sqrt() * drawn.noise
    return noisy


def stable_diffusion(
    model: Model, precision: Precision, caption_dropout: float, seed: int, empty_tokens: list[int], device: torch.device
) -> StableDiffusion:
    """The model to train, its weights a pure function of the seed (and the kind of device)."""
    networks = networks_on_meta(model)
    dtype = FROZEN_DTYPE[precision]
    parts = Frozen(
        vae=image_encoder(model, dtype, device, seed),
        text_encoder=frozen(networks.text_encoder, dtype, device, seed + 2),
        alphas=alphas_cumulated(model).to(device),
        empty_tokens=torch.tensor(empty_tokens, device=device),
    )
    return StableDiffusion(
        materialised(networks.unet, device, seed),
        parts,
        caption_dropout=caption_dropout,
        scaling_factor=configuration(model, "vae")["scaling_factor"],
    )
