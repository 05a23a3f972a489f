"""Is it a Stable Diffusion, and is it trained as one? Sizes, what is frozen, which numbers each sample draws."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sdbench_trainer.config import Model, Precision
from sdbench_trainer.model import (
    Batch,
    StableDiffusion,
    alphas_cumulated,
    networks_on_meta,
    pixels,
    stable_diffusion,
)
from sdbench_trainer.noise import draw_seed, draws
from sdbench_trainer.tokenizer import clip_tokenizer, token_ids

CPU = torch.device("cpu")
EMPTY = token_ids(clip_tokenizer(), [""])[0]


def tiny(dropout: float = 0.1, seed: int = 17) -> StableDiffusion:
    return stable_diffusion(Model.TINY, Precision.FP32, dropout, seed, EMPTY, CPU)


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


def test_only_the_unet_is_trained_saved_and_walked(model: StableDiffusion) -> None:
    assert size(model) == size(model.unet) == 792_964
    assert all(name.startswith("unet.") for name in model.state_dict())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_frozen_parts_stay_in_eval_mode_without_gradients(model: StableDiffusion) -> None:
    model.train()
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


def test_frozen_parts_take_the_runs_number_format_and_the_unet_stays_fp32() -> None:
    half = stable_diffusion(Model.TINY, Precision.AMP_BF16, 0.1, 17, EMPTY, CPU)
    assert {parameter.dtype for parameter in half.frozen_parts.vae.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float32}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
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


def test_a_sample_draws_the_same_in_any_microbatch_and_other_numbers_in_another_epoch() -> None:
    seeds = [draw_seed(17, 0, number) for number in range(6)]
    whole = draws(seeds, (4, 8, 8), CPU)
    parts = [draws(seeds[start : start + 2], (4, 8, 8), CPU) for start in (0, 2, 4)]
    pick: list[Callable[[object], Tensor]] = [lambda d: d.noise, lambda d: d.posterior, lambda d: d.timesteps]  # type: ignore[attr-defined]
    for part in pick:
        assert torch.equal(part(whole), torch.cat([part(piece) for piece in parts]))
    assert draw_seed(17, 1, 0) != draw_seed(17, 0, 0) != draw_seed(18, 0, 0)


def test_the_noise_schedule_is_that_of_stable_diffusion() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    assert torch.allclose(alphas_cumulated(Model.SD2_BASE), theirs, rtol=1e-4, atol=1e-7)


def test_the_latents_are_those_of_diffusers_with_the_same_weights(model: StableDiffusion) -> None:
    vae = model.frozen_parts.vae
    images, posterior = batch()["image"], torch.zeros(4, 4, 8, 8)
    with torch.no_grad():
        moments = vae.quant_conv(vae.encoder(pixels(images, torch.float32)))  # type: ignore[operator]
        found = model.latents(images, posterior)
    assert torch.allclose(found, moments[:, :4] * 0.18215)


def test_dropped_captions_are_the_empty_caption() -> None:
    always, never = tiny(1.0), tiny(0.0)
    empty = {**batch(), "tokens": torch.tensor([EMPTY] * 4)}
    with torch.no_grad():
        assert torch.equal(always(batch())[0], never(empty)[0])
        assert not torch.equal(always(batch())[0], never(batch())[0])
