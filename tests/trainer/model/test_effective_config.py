"""Tests that the effective settings are read from the built objects, and refused if they were not requested."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.data.tokenizer import clip_tokenizer, token_ids
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.model.effective_config import built_config, observed_config, requested_config, require_as_asked
from sdbench_trainer.model.ema import ExponentialMovingAverage
from sdbench_trainer.model.optimizations import adamw
from sdbench_trainer.model.stable_diffusion import stable_diffusion


def state(config: TrainerConfig) -> Any:
    """The parts of Composer's State that are read, for a run on one device."""
    model = stable_diffusion(config, token_ids(clip_tokenizer(), [""])[0], torch.device("cpu"))
    average = ExponentialMovingAverage(float(config.ema.smoothing), config.ema.every_batches, config.ema.start_batch)
    optimizer = adamw(model.parameters(), config)
    return SimpleNamespace(model=model, optimizers=[optimizer], algorithms=[average] if config.ema.enabled else [])


def config(**knobs: Any) -> TrainerConfig:
    return TrainerConfig.model_validate({"model": "tiny", "precision": "fp32", **knobs})


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"channelsLast": True, "gradientCheckpointing": True, "optimizer": "loop"},
        {"frozenPrecision": "bf16", "optimizer": "foreach", "ema": {"everyBatches": 4}},
        {"encoding": "precomputed", "channelsLast": True, "ema": {"enabled": False}},
        {"precision": "amp_fp16", "ema": {"smoothing": "0.9999", "startBatch": 50}},
    ],
)
def test_settings_that_were_built_as_requested_are_accepted(knobs: dict[str, Any]) -> None:
    found = built_config(state(config(**knobs)))
    assert len(found) == 8
    require_as_asked(found, requested_config(config(**knobs), devices=1))


def _other_attention(seen: Any) -> None:
    seen.model.unet.set_attn_processor(AttnProcessor())


def _one_layer_of_another_layout(seen: Any) -> None:
    seen.model.unet.conv_in.to(memory_format=torch.channels_last)


def _one_block_checkpointing(seen: Any) -> None:
    seen.model.unet.down_blocks[0].gradient_checkpointing = True


def _text_encoder_in_half(seen: Any) -> None:
    seen.model.frozen_parts.text_encoder.half()


def _default_optimizer(seen: Any) -> None:
    seen.optimizers[0].param_groups[0].update(fused=None, foreach=None)


def _other_schedule(seen: Any) -> None:
    seen.algorithms[0].every_batches = 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_other_attention, "trainer.attention: sdpa was requested, but the run uses AttnProcessor."),
        (_one_layer_of_another_layout, "trainer.channelsLast: false was requested, but the run uses false+true."),
        (_one_block_checkpointing, "trainer.gradientCheckpointing: false was requested, but the run uses false+true."),
        (_text_encoder_in_half, "trainer.frozenPrecision: fp32 was requested, but the run uses fp16+fp32."),
        (_default_optimizer, "trainer.optimizer: fused was requested, but the run uses foreach."),
        (_other_schedule, "trainer.ema: 0.99 every 1 from 0 was requested, but the run uses 0.99 every 2 from 0."),
    ],
)
def test_a_setting_that_differs_from_the_request_is_refused(change: Any, sentence: str) -> None:
    seen = state(config())
    change(seen)
    with pytest.raises(ConfigInvalid) as refused:
        require_as_asked(built_config(seen), requested_config(config(), devices=1))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(("devices", "kind"), [(2, "ddp"), (1, "fsdp2")])
def test_a_model_without_the_requested_data_parallelism_is_refused(devices: int, kind: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"trainer.dataParallel: {kind} was requested, but the run uses single"):
        require_as_asked(built_config(state(config())), requested_config(config(dataParallel=kind), devices))


def test_the_precision_is_that_of_the_unets_output() -> None:
    seen = state(config(precision="amp_fp16"))
    seen.outputs = (torch.zeros(1, dtype=torch.float16), torch.zeros(1))
    assert observed_config(seen) == {"precision": "amp_fp16", "compile": "false"}


def test_a_unet_without_compiled_graphs_counts_as_not_compiled() -> None:
    seen = state(config(compile=True))
    seen.outputs = (torch.zeros(1), torch.zeros(1))
    with pytest.raises(ConfigInvalid, match=r"trainer\.compile: true was requested, but the run uses false"):
        require_as_asked(observed_config(seen), requested_config(config(compile=True), devices=1))
