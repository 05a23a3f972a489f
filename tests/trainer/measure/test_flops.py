"""Tests that the FLOP of an image are the published ones in each mode, and that the utilisation follows."""

from typing import Any

import pytest

from sdbench_trainer.config import Encoding, Model, TrainerConfig
from sdbench_trainer.measure.flops import Arithmetic, flops_per_image, image_flops

GIGA = 1e9


@pytest.mark.parametrize(
    ("image_size", "unet", "vae", "text_encoder"),
    [(64, 39.9, 16.9, 45.1), (256, 539.3, 272.7, 45.1), (512, 2408.7, 1116.7, 45.1), (768, 6443.2, 2609.1, 45.1)],
)
def test_sd2_base_needs_the_known_gigaflop_per_image(
    image_size: int, unet: float, vae: float, text_encoder: float
) -> None:
    found = image_flops(Model.SD2_BASE, image_size)
    assert found.unet / GIGA == pytest.approx(unet, abs=0.05)
    assert found.vae / GIGA == pytest.approx(vae, abs=0.05)
    assert found.text_encoder / GIGA == pytest.approx(text_encoder, abs=0.05)
    assert found.needed(Encoding.ONLINE) == found.unet + found.vae + found.text_encoder
    assert found.needed(Encoding.PRECOMPUTED) == found.unet + found.text_encoder


def flop(**knobs: Any) -> float:
    return flops_per_image(TrainerConfig.model_validate({"model": "tiny", "imageSize": 64, **knobs}))


def test_precomputed_latents_need_less_and_recomputation_and_optimizations_do_not_count() -> None:
    plain = flop()
    assert flop(encoding="precomputed") == plain - image_flops(Model.TINY, 64).vae
    for knobs in ({"gradientCheckpointing": True}, {"channelsLast": True}, {"compile": True}, {"precision": "fp32"}):
        assert flop(**knobs) == plain
    assert flop(attention="xformers") == plain


def test_the_utilisation_of_a_published_mlperf_run_is_reproduced() -> None:
    """137.2 images/s on each H100 with 2,409 GFLOP per image is 33.4 % of 989.4 TFLOP/s."""
    assert Arithmetic(2408.7e9, 8, 989.4).mfu_ratio(8 * 137.2) == pytest.approx(0.334, abs=0.0005)


def test_there_is_no_utilisation_if_the_peak_is_unknown() -> None:
    assert Arithmetic(2408.7e9, 8, None).mfu_ratio(100.0) is None
