"""Builds Stable Diffusion from bundled configurations with seeded random weights, and computes its loss."""

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

from sdbench_trainer.config import Encoding, FrozenPrecision, Model, Precision, TrainerConfig
from sdbench_trainer.model.noise import TIMESTEPS, Draws, draws
from sdbench_trainer.model.optimizations import DTYPES, memory_format, prepared

MATCHING = {
    Precision.FP32: FrozenPrecision.FP32,
    Precision.AMP_FP16: FrozenPrecision.FP16,
    Precision.AMP_BF16: FrozenPrecision.BF16,
}

Batch = dict[str, Tensor]
"""tokens int64 [B, 77]; draw int64 [B], the seed of each sample's draws; and image uint8 [B, S, S, 3] or moments
float16 [B, 8, S/8, S/8], those of the function `moments`."""


@dataclass(frozen=True)
class Networks:
    """The three networks of one Stable Diffusion."""

    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module


@dataclass(frozen=True)
class Frozen:
    """The parts that are not trained, all on the training device."""

    vae: nn.Module | None
    """Encoder and quant_conv of the autoencoder; None if the latents are precomputed."""
    text_encoder: nn.Module
    alphas: Tensor
    """float32 [1000], from `alphas_cumulated`."""
    empty_tokens: Tensor
    """int64 [77]: the tokens that replace a dropped caption."""


def configuration(model: Model, part: str) -> dict[str, Any]:
    """The bundled configuration of unet, vae, text_encoder or scheduler."""
    path = resources.files("sdbench_trainer") / "configs" / model.value / f"{part}.json"
    return cast(dict[str, Any], json.loads(path.read_text()))


def networks_on_meta(model: Model) -> Networks:
    """The networks on the meta device: with shapes, without memory."""
    with torch.device("meta"):
        return Networks(
            UNet2DConditionModel.from_config(configuration(model, "unet")),
            AutoencoderKL.from_config(configuration(model, "vae")),
            CLIPTextModel(CLIPTextConfig(**configuration(model, "text_encoder"))),
        )


def _fill(module: nn.Module, generator: torch.Generator) -> None:
    """Initialises one module's own parameters: matrices by fan-in, scales with one, offsets with zero."""
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias":
            nn.init.zeros_(parameter)
        elif parameter.dim() == 1:
            nn.init.ones_(parameter)
        else:
            # Drawn in float32, so that every number format has the same values, rounded.
            drawn = torch.empty_like(parameter, dtype=torch.float32)
            if isinstance(module, nn.Embedding):
                drawn.normal_(0.0, 0.02, generator=generator)
            else:
                bound = parameter[0].numel() ** -0.5
                drawn.uniform_(-bound, bound, generator=generator)
            parameter.copy_(drawn)


@torch.no_grad()
def materialised(network: nn.Module, device: torch.device, seed: int) -> nn.Module:
    """Moves a network from meta to the device's memory, with seeded weights."""
    network.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for module in network.modules():
        _fill(module, generator)
    # Position ids are the only buffers; their values were lost on the meta device.
    for name, buffer in network.named_buffers():
        if not name.endswith("position_ids"):
            raise RuntimeError(f"buffer {name} has no initial value")
        buffer.copy_(torch.arange(buffer.numel(), device=device).view_as(buffer))
    return network


def frozen(network: nn.Module, dtype: torch.dtype, device: torch.device, seed: int) -> nn.Module:
    """Materialises a network that is not trained, in eval mode and without gradients."""
    # Cast on meta, where it takes no memory yet.
    return materialised(network.to(dtype), device, seed).eval().requires_grad_(False)


def image_encoder(model: Model, dtype: torch.dtype, device: torch.device, seed: int) -> nn.Module:
    """The VAE's encoder and quant_conv, frozen; its weights follow from the run's seed."""
    vae: Any = networks_on_meta(model).vae
    # Training needs the encoder only.
    del vae.decoder, vae.post_quant_conv
    return frozen(vae, dtype, device, seed + 1)


def alphas_cumulated(model: Model) -> Tensor:
    """float32 [1000]: the share of the signal's variance that remains at each timestep (DDPM, scaled linear)."""
    schedule = configuration(model, "scheduler")
    roots = torch.linspace(schedule["beta_start"] ** 0.5, schedule["beta_end"] ** 0.5, TIMESTEPS, dtype=torch.float64)
    return torch.cumprod(1.0 - roots**2, dim=0).float()


class StableDiffusion(ComposerModel):  # type: ignore[misc]
    """A UNet that learns to predict the noise in noisy latents."""

    def __init__(self, unet: nn.Module, frozen_parts: Frozen, *, caption_dropout: float, scaling_factor: float) -> None:
        super().__init__()
        self.unet = unet
        # A dataclass, not modules: this keeps them out of the optimizer, DDP, checkpoints and `train()`.
        self.frozen_parts = frozen_parts
        self.caption_dropout = caption_dropout
        self.scaling_factor = scaling_factor

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The noise that the UNet predicts and the noise that was added, both [B, 4, S/8, S/8]."""
        parts, device = self.frozen_parts, batch["tokens"].device
        # The frozen parts compute in their own number format, the latents in float32.
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            seen = self.moments(batch)
            drawn = draws(batch["draw"].tolist(), (4, seen.shape[2], seen.shape[3]), device)
            latents = sample_posterior(seen, drawn.posterior) * self.scaling_factor
            dropped = drawn.uniform < self.caption_dropout
            tokens = torch.where(dropped[:, None], parts.empty_tokens[None], batch["tokens"])
            context = parts.text_encoder(input_ids=tokens)[0].float()
            # A convolution computes channels last only if its input is.
            noisy = noised(latents, drawn, parts.alphas).contiguous(memory_format=memory_format(self.unet))
        prediction = self.unet(noisy, drawn.timesteps, context, return_dict=False)[0]
        return prediction, drawn.noise

    def moments(self, batch: Batch) -> Tensor:
        """float32 [B, 8, S/8, S/8]: the batch's precomputed moments, or the VAE's for its images."""
        encoder = self.frozen_parts.vae
        return batch["moments"].float() if encoder is None else moments(encoder, batch["image"])

    def loss(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> Tensor:  # noqa: ARG002 - Composer's signature
        """Mean squared error of the noise, in float32."""
        # The prediction has the number format of the forward pass; in fp16 its squares might overflow.
        prediction, noise = outputs
        return functional.mse_loss(prediction.float(), noise)


def moments(encoder: Any, images: Tensor) -> Tensor:
    """Mean and log variance of the VAE's posterior, float32 [B, 8, S/8, S/8], for uint8 images [B, S, S, 3]."""
    pictures = pixels(images, encoder.quant_conv.weight.dtype).contiguous(memory_format=memory_format(encoder))
    seen: Tensor = encoder.quant_conv(encoder.encoder(pictures))
    return seen.float()


def sample_posterior(seen: Tensor, posterior: Tensor) -> Tensor:
    """Unscaled latents, float32 [B, 4, h, w], for moments [B, 8, h, w] and standard normal numbers [B, 4, h, w]."""
    # The bounds are those of diffusers' DiagonalGaussianDistribution.
    mean, log_variance = seen.chunk(2, dim=1)
    return mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * posterior


def pixels(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Images [B, 3, S, S] in [-1, 1], for uint8 [B, S, S, 3]."""
    return images.permute(0, 3, 1, 2).to(dtype) / 127.5 - 1.0


def noised(latents: Tensor, drawn: Draws, alphas: Tensor) -> Tensor:
    """Latents mixed with noise according to their timesteps (Ho et al. 2020, eq. 4)."""
    signal = alphas[drawn.timesteps].view(-1, 1, 1, 1)
    noisy: Tensor = signal.sqrt() * latents + (1.0 - signal).sqrt() * drawn.noise
    return noisy


def frozen_precision(config: TrainerConfig) -> FrozenPrecision:
    """The number format of the frozen parts, with `matching` resolved."""
    asked = config.frozen_precision
    return MATCHING[config.precision] if asked is FrozenPrecision.MATCHING else asked


def stable_diffusion(config: TrainerConfig, empty_tokens: list[int], device: torch.device) -> StableDiffusion:
    """The model for these settings; its weights depend only on the seed and the kind of device."""
    model, seed, dtype = config.model, config.seed, DTYPES[frozen_precision(config)]
    networks = networks_on_meta(model)
    # Each network has a seed of its own: seed, seed + 1 and seed + 2.
    vae = image_encoder(model, dtype, device, seed) if config.encoding is Encoding.ONLINE else None
    if vae is not None and config.channels_last:
        vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = Frozen(
        vae=vae,
        text_encoder=frozen(networks.text_encoder, dtype, device, seed + 2),
        alphas=alphas_cumulated(model).to(device),
        empty_tokens=torch.tensor(empty_tokens, device=device),
    )
    return StableDiffusion(
        prepared(materialised(networks.unet, device, seed), config),
        parts,
        caption_dropout=float(config.caption_dropout),
        scaling_factor=configuration(model, "vae")["scaling_factor"],
    )
