"""Tests the sizes, the frozen parts, the random draws and the loss of the Stable Diffusion model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sdbench_trainer.config import Model, TrainerConfig
from sdbench_trainer.data.tokenizer import clip_tokenizer, token_ids
from sdbench_trainer.model.noise import draw_seed, draws
from sdbench_trainer.model.stable_diffusion import (
    Batch,
    StableDiffusion,
    alphas_cumulated,
    moments,
    networks_on_meta,
    pixels,
    sample_posterior,
    stable_diffusion,
)

CPU = torch.device("cpu")
EMPTY = token_ids(clip_tokenizer(), [""])[0]


def tiny(**knobs: Any) -> StableDiffusion:
    config = TrainerConfig.model_validate({"model": "tiny", "precision": "fp32", **knobs})
    return stable_diffusion(config, EMPTY, CPU)


@pytest.fixture(scope="module")
def model() -> StableDiffusion:
    return tiny()


def batch(size: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    captions = [f"picture {number}" for number in range(size)]
    return {
        "image": torch.randint(0, 256, (size, 64, 64, 3), dtype=torch.uint8, generator=generator),
        "tokens": torch.tensor(token_ids(clip_tokenizer(), captions)),
        "draw": torch.tensor([draw_seed(17, 0, number) for number in range(size)]),
    }


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_sd2_base_has_the_sizes_of_stable_diffusion_2_base() -> None:
    networks = networks_on_meta(Model.SD2_BASE)
    assert size(networks.unet) == 865_910_724
    assert size(networks.vae) == 83_653_863
    assert size(networks.text_encoder) == 340_387_840


def test_only_the_unet_is_trained_and_saved(model: StableDiffusion) -> None:
    assert size(model) == size(model.unet) == 792_964
    assert all(name.startswith("unet.") for name in model.state_dict())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_frozen_parts_stay_in_eval_mode_without_gradients(model: StableDiffusion) -> None:
    model.train()
    assert model.frozen_parts.vae is not None
    for network in (model.frozen_parts.vae, model.frozen_parts.text_encoder):
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
    names = {name.split(".")[0] for name, _ in model.frozen_parts.vae.named_parameters()}
    assert names == {"encoder", "quant_conv"}


def test_a_step_gives_gradients_to_every_weight_of_the_unet(model: StableDiffusion) -> None:
    loss = model.loss(model(batch()), batch())
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(1.0, abs=0.5)
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()


@pytest.mark.parametrize(
    ("knobs", "dtype"),
    [
        ({"precision": "fp32"}, torch.float32),
        ({"precision": "amp_fp16"}, torch.float16),
        ({"precision": "amp_bf16"}, torch.bfloat16),
        ({"precision": "amp_bf16", "frozenPrecision": "fp32"}, torch.float32),
        ({"precision": "fp32", "frozenPrecision": "fp16"}, torch.float16),
        ({"precision": "amp_fp16", "frozenPrecision": "bf16"}, torch.bfloat16),
    ],
)
def test_the_frozen_parts_have_the_requested_number_format_and_the_unet_stays_fp32(
    knobs: dict[str, str], dtype: torch.dtype
) -> None:
    made = tiny(**knobs)
    assert made.frozen_parts.vae is not None
    for network in (made.frozen_parts.vae, made.frozen_parts.text_encoder):
        assert {parameter.dtype for parameter in network.parameters()} == {dtype}
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float32}


def test_the_weights_depend_on_the_seed_alone() -> None:
    first, same, other = (next(tiny(seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_pixels_lie_in_minus_one_to_one() -> None:
    image = torch.tensor([0, 255, 128], dtype=torch.uint8).view(1, 1, 1, 3)
    assert pixels(image, torch.float32).flatten().tolist() == pytest.approx([-1.0, 1.0, 1 / 255], abs=1e-6)


def test_every_timestep_from_0_to_999_is_drawn() -> None:
    drawn = draws([draw_seed(17, 0, number) for number in range(20_000)], (1, 1, 1), CPU).timesteps
    counts = torch.bincount(drawn, minlength=1000)
    assert counts.numel() == 1000
    assert int(counts.min()) > 0


def test_drawn_numbers_are_standard_normal_and_independent() -> None:
    drawn = draws([draw_seed(17, 0, number) for number in range(64)], (4, 8, 8), CPU)
    for numbers in (drawn.noise, drawn.posterior):
        assert abs(numbers.mean().item()) < 0.05
        assert numbers.std().item() == pytest.approx(1.0, abs=0.05)
    assert abs((drawn.noise * drawn.posterior).mean().item()) < 0.05


def test_the_draws_of_a_sample_depend_on_its_epoch_but_not_on_its_microbatch() -> None:
    seeds = [draw_seed(17, 0, number) for number in range(6)]
    whole = draws(seeds, (4, 8, 8), CPU)
    parts = [draws(seeds[start : start + 2], (4, 8, 8), CPU) for start in (0, 2, 4)]
    pick: list[Callable[[object], Tensor]] = [lambda d: d.noise, lambda d: d.posterior, lambda d: d.timesteps]  # type: ignore[attr-defined]
    for part in pick:
        assert torch.equal(part(whole), torch.cat([part(piece) for piece in parts]))
    assert draw_seed(17, 1, 0) != draw_seed(17, 0, 0) != draw_seed(18, 0, 0)


def test_the_noise_schedule_is_the_one_of_stable_diffusion() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    assert torch.allclose(alphas_cumulated(Model.SD2_BASE), theirs, rtol=1e-4, atol=1e-7)


def test_the_latents_equal_those_of_diffusers_with_the_same_weights(model: StableDiffusion) -> None:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    vae: Any = model.frozen_parts.vae
    with torch.no_grad():
        wanted = vae.quant_conv(vae.encoder(pixels(batch()["image"], torch.float32).contiguous()))
        found = model.moments(batch())
    theirs = DiagonalGaussianDistribution(wanted)
    noise = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(sample_posterior(found, noise), theirs.mean + theirs.std * noise, atol=1e-6)


def precomputed(model: StableDiffusion, images: Batch) -> Batch:
    with torch.no_grad():
        seen = moments(model.frozen_parts.vae, images["image"]).half()
    return {"moments": seen, "tokens": images["tokens"], "draw": images["draw"]}


def test_precomputed_moments_give_the_loss_of_their_images(model: StableDiffusion) -> None:
    without = tiny(encoding="precomputed")
    assert without.frozen_parts.vae is None
    latents = precomputed(model, batch())
    with torch.no_grad():
        online = model.loss(model(batch()), batch())
        found = without.loss(without(latents), latents)
    assert found.item() == pytest.approx(online.item(), rel=1e-5)


@pytest.mark.parametrize("size", [32, 96, 256])
def test_any_multiple_of_32_pixels_can_be_trained(model: StableDiffusion, size: int) -> None:
    images = {**batch(2), "image": torch.zeros(2, size, size, 3, dtype=torch.uint8)}
    with torch.no_grad():
        prediction, noise = model(images)
    assert prediction.shape == noise.shape == (2, 4, size // 8, size // 8)


@pytest.mark.parametrize("knobs", [{"channelsLast": True}, {"gradientCheckpointing": True}])
def test_layout_and_checkpointing_keep_the_loss_the_gradients_and_the_names(
    model: StableDiffusion, knobs: dict[str, bool]
) -> None:
    other = tiny(**knobs)
    assert list(other.state_dict()) == list(model.state_dict())
    losses = []
    for made in (model, other):
        losses.append(made.loss(made(batch()), batch()))
        losses[-1].backward()  # type: ignore[no-untyped-call]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-5)
    for (name, wanted), found in zip(model.named_parameters(), other.parameters(), strict=True):
        assert wanted.grad is not None
        assert found.grad is not None
        assert torch.allclose(found.grad, wanted.grad, rtol=1e-3, atol=1e-5), name
    model.zero_grad()


@pytest.mark.parametrize(("flag", "layout"), [(True, torch.channels_last), (False, torch.contiguous_format)])
def test_the_images_inside_the_unet_and_the_vae_have_the_requested_layout(
    flag: bool, layout: torch.memory_format
) -> None:
    made = tiny(channelsLast=flag)
    vae: Any = made.frozen_parts.vae
    unet: Any = made.unet
    seen: list[Tensor] = []
    for convolution in (vae.encoder.conv_in, unet.conv_in):
        convolution.register_forward_hook(lambda _, given, output: seen.extend((given[0], output)))
    with torch.no_grad():
        made(batch())
    assert len(seen) == 4
    assert all(image.is_contiguous(memory_format=layout) for image in seen)


@pytest.mark.parametrize(("flag", "times"), [(False, 1), (True, 2)])
def test_checkpointing_recomputes_the_blocks_of_the_unet(flag: bool, times: int) -> None:
    made = tiny(gradientCheckpointing=flag)
    unet: Any = made.unet
    calls: list[int] = []
    unet.down_blocks[0].resnets[0].conv1.register_forward_hook(lambda *_: calls.append(1))
    made.loss(made(batch(1)), batch(1)).backward()  # type: ignore[no-untyped-call]
    assert len(calls) == times


def test_dropped_captions_are_replaced_by_the_empty_caption() -> None:
    always, never = tiny(captionDropout="1"), tiny(captionDropout="0")
    empty = {**batch(), "tokens": torch.tensor([EMPTY] * 4)}
    with torch.no_grad():
        assert torch.equal(always(batch())[0], never(empty)[0])
        assert not torch.equal(always(batch())[0], never(batch())[0])
