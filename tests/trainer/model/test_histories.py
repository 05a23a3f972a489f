"""Tests that settings that keep the mathematics of a training keep its losses, averages and resumptions."""

import json
from typing import Any

import pytest

from trainer.launching import launched, program, run_config

STEPS = 10
HALF = 5
FSDP2 = {"dataParallel": "fsdp2"}
LATER = {"ema": {"everyBatches": 2, "startBatch": 3}}
TRAINER = {"globalBatchSize": 8, "deviceMicrobatchSize": 8}

ALONE: list[dict[str, Any]] = [
    {"name": "plain", "resume": "full"},
    {"name": "two-microbatches", "trainer": {"deviceMicrobatchSize": 4}},
    {"name": "fsdp2", "trainer": {**FSDP2, **LATER}, "resume": "sharded"},
    {"name": "average-from-batch-7", "trainer": {"ema": {"everyBatches": 3, "startBatch": 7}}, "resume": "full"},
    {"name": "ragged", "trainer": {"deviceMicrobatchSize": 3, "allowRaggedBatch": True}, "steps": HALF},
    {"name": "no-average", "trainer": {"ema": {"enabled": False}}, "steps": HALF},
    {"name": "channels-last", "trainer": {"channelsLast": True}, "steps": HALF},
    {"name": "checkpointing", "trainer": {"gradientCheckpointing": True}, "steps": HALF},
    {"name": "foreach", "trainer": {"optimizer": "foreach"}, "steps": HALF},
    {"name": "loop", "trainer": {"optimizer": "loop"}, "steps": HALF},
    {"name": "precomputed", "trainer": {"encoding": "precomputed"}, "steps": HALF},
    {"name": "frozen-fp16", "trainer": {"frozenPrecision": "fp16"}, "steps": 3},
    {"name": "frozen-bf16", "trainer": {"frozenPrecision": "bf16"}, "steps": 3},
]
TOGETHER: list[dict[str, Any]] = [
    {"name": "ddp", "trainer": {"deviceMicrobatchSize": 4}, "resume": "full"},
    {"name": "ddp-two-microbatches", "trainer": {"deviceMicrobatchSize": 2}},
    {"name": "fsdp2", "trainer": FSDP2, "resume": "sharded"},
    {
        "name": "fsdp2-two-microbatches",
        "trainer": {**FSDP2, "deviceMicrobatchSize": 2, "gradientCheckpointing": True, **LATER},
        "resume": "full",
    },
]


class Histories(dict[str, dict[str, Any]]):
    """The history that one launch printed for each case, which must be the same on every rank."""

    def __init__(self, devices: int, cases: list[dict[str, Any]]) -> None:
        given = [json.dumps({"steps": STEPS, "trainer": {}, **case}) for case in cases]
        ended = launched(run_config(devices, TRAINER), *program("histories", *given))
        assert ended.code == 0, ended.output
        lines = (line.removeprefix("[rank 1] ") for line in ended.output.splitlines())
        seen = [json.loads(line.removeprefix("history ")) for line in lines if line.startswith("history ")]
        assert len(seen) == devices * len(cases)
        super().__init__((found["name"], found) for found in seen)
        assert all(found == self[found["name"]] for found in seen)


@pytest.fixture(scope="module")
def alone() -> Histories:
    return Histories(1, ALONE)


@pytest.fixture(scope="module")
def together() -> Histories:
    return Histories(2, TOGETHER)


@pytest.mark.parametrize(
    ("name", "relative"),
    [
        ("two-microbatches", 1e-6),
        ("fsdp2", 1e-6),
        ("average-from-batch-7", 0.0),
        ("ragged", 1e-6),
        ("no-average", 0.0),
        ("channels-last", 1e-6),
        ("checkpointing", 0.0),
        ("foreach", 1e-6),
        ("loop", 1e-6),
        ("precomputed", 1e-5),
        ("frozen-fp16", 1e-3),
        ("frozen-bf16", 1e-2),
    ],
)
def test_a_setting_that_keeps_the_mathematics_keeps_the_losses(alone: Histories, name: str, relative: float) -> None:
    losses = alone[name]["losses"]
    assert losses == pytest.approx(alone["plain"]["losses"][: len(losses)], rel=relative, abs=0.0)


@pytest.mark.parametrize(
    ("name", "absolute"),
    [("ddp", 1e-6), ("ddp-two-microbatches", 1e-6), ("fsdp2", 1e-5), ("fsdp2-two-microbatches", 1e-5)],
)
def test_two_ranks_have_the_losses_of_one(alone: Histories, together: Histories, name: str, absolute: float) -> None:
    losses = together[name]["losses"]
    assert len(losses) == STEPS
    assert losses == pytest.approx(alone["plain"]["losses"], rel=0.0, abs=absolute)


@pytest.mark.parametrize(
    ("name", "knob", "word"),
    [
        ("plain", "dataParallel", "single"),
        ("plain", "ema", "0.99 every 1 from 0"),
        ("plain", "optimizer", "fused"),
        ("plain", "attention", "sdpa"),
        ("plain", "compile", "false"),
        ("fsdp2", "dataParallel", "fsdp2"),
        ("fsdp2", "ema", "0.99 every 2 from 3"),
        ("no-average", "ema", "none"),
        ("channels-last", "channelsLast", "true"),
        ("checkpointing", "gradientCheckpointing", "true"),
        ("foreach", "optimizer", "foreach"),
        ("loop", "optimizer", "loop"),
        ("precomputed", "encoding", "precomputed"),
        ("frozen-fp16", "frozenPrecision", "fp16"),
        ("plain", "precision", "fp32"),
    ],
)
def test_the_effective_settings_are_reported(alone: Histories, name: str, knob: str, word: str) -> None:
    assert alone[name]["workload"][knob] == word
    assert len(json.dumps(alone[name]["workload"], separators=(",", ":"))) <= 300


def test_two_ranks_report_their_data_parallelism(together: Histories) -> None:
    words = {name: found["workload"]["dataParallel"] for name, found in together.items()}
    assert words == {"ddp": "ddp", "ddp-two-microbatches": "ddp", "fsdp2": "fsdp2", "fsdp2-two-microbatches": "fsdp2"}
