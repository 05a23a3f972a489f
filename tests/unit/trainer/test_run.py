"""Tests that an unsupported setting is refused with a message that names it."""

from typing import Any

import pytest
from pydantic import ValidationError

from sdbench_trainer.run import RunConfig

ON_CPU = {"model": "tiny", "precision": "fp32", "globalBatchSize": 8}


def run(accelerator: bool, **knobs: Any) -> RunConfig:
    document = {"attempt": "a", "devices": 2, "accelerator": accelerator, "trainer": {**ON_CPU, **knobs}}
    return RunConfig.model_validate(document)


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"precision": "amp_fp16"}, "trainer.precision: amp_fp16 needs an accelerator"),
        ({"precision": "amp_bf16"}, "trainer.precision: amp_bf16 needs an accelerator"),
        ({"attention": "xformers"}, "trainer.attention: xformers needs an NVIDIA GPU"),
        ({"automaticMicrobatch": True}, "trainer.automaticMicrobatch: only a GPU's memory can be tried"),
    ],
)
def test_settings_that_need_an_accelerator_are_refused_on_cpus(knobs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        run(False, **knobs)
    assert run(True, **knobs).accelerator


@pytest.mark.parametrize("accelerator", [False, True])
@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"automaticMicrobatch": True}, "trainer.automaticMicrobatch: Composer tries microbatches with ddp only"),
        ({"channelsLast": True}, "trainer.channelsLast: FSDP2 shards weights of the usual layout only"),
    ],
)
def test_settings_that_do_not_work_with_fsdp2_are_refused_on_every_device(
    knobs: dict[str, Any], sentence: str, accelerator: bool
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        run(accelerator, dataParallel="fsdp2", **knobs)


def test_all_other_settings_are_accepted_on_cpus() -> None:
    for knobs in (
        {"frozenPrecision": "fp16"},
        {"channelsLast": True},
        {"compile": True},
        {"gradientCheckpointing": True},
        {"dataParallel": "fsdp2"},
        {"optimizer": "foreach"},
        {"optimizer": "loop"},
        {"encoding": "precomputed"},
        {"ema": {"enabled": False}},
        {"ema": {"everyBatches": 10, "startBatch": 1000}},
    ):
        assert run(False, **knobs).trainer.document().items() >= knobs.items() or "ema" in knobs
