"""Tests that a setting that the device does not support is refused before anything is built."""

from typing import Any

import pytest
import torch

from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.errors import ConfigInvalid
from sdbench_trainer.model.capabilities import Capabilities, capabilities_of, require_capabilities, unsupported
from trainer.launching import launched, run_config

T4 = Capabilities("Tesla T4", bf16=False)
CPU = torch.device("cpu")


def config(**knobs: Any) -> TrainerConfig:
    return TrainerConfig.model_validate({"model": "tiny", "precision": "fp32", **knobs})


@pytest.mark.parametrize(
    ("knobs", "abilities", "field", "words"),
    [
        ({"precision": "amp_bf16"}, T4, "precision", "Tesla T4 has no bf16; use amp_fp16 or fp32"),
        ({"frozenPrecision": "bf16"}, T4, "frozenPrecision", "Tesla T4 has no bf16; use fp16 or fp32"),
        ({"attention": "xformers"}, Capabilities("NVIDIA L4", xformers=False), "attention", "xformers does not run on"),
        ({"compile": True}, Capabilities("a CPU", compiler="a C++ compiler (g++)"), "compile", "needs a C++ compiler"),
        ({"compile": True}, Capabilities("NVIDIA L4", compiler="Triton"), "compile", "needs Triton, which this image"),
    ],
)
def test_an_unsupported_setting_is_refused_by_name(
    knobs: dict[str, Any], abilities: Capabilities, field: str, words: str
) -> None:
    found = unsupported(config(**knobs), abilities)
    assert found is not None
    assert found.field == field
    assert words in found.sentence


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"precision": "amp_fp16"},
        {"precision": "amp_fp16", "frozenPrecision": "fp32"},
        {"channelsLast": True},
        {"dataParallel": "fsdp2"},
    ],
)
def test_capabilities_that_no_setting_needs_may_be_missing(knobs: dict[str, Any]) -> None:
    nothing = Capabilities("Tesla T4", bf16=False, xformers=False, compiler="Triton")
    assert unsupported(config(**knobs), nothing) is None


def test_xformers_does_not_run_on_a_cpu() -> None:
    asked = config(attention="xformers")
    assert capabilities_of(CPU, asked) == Capabilities("a CPU", xformers=False)
    with pytest.raises(ConfigInvalid, match=r"trainer\.attention: xformers does not run on a CPU"):
        require_capabilities(asked, CPU)


def test_a_launch_without_a_compiler_exits_64_with_a_message() -> None:
    ended = launched(run_config(1, {"compile": True}), CXX="/nowhere/c++")
    assert ended.code == ended.error_code == 64, ended.output
    assert ended.tail.startswith("trainer.compile: torch.compile needs a C++ compiler (g++)")
