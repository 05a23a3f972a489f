"""Builds the measured parts of the trainer by its own functions from a run's configuration."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sdbench_trainer.distributed import RankPlace
from sdbench_trainer.heartbeat import Heartbeats, HeartbeatWriter
from sdbench_trainer.model.effective_config import EffectiveConfig
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import Parts, build_parts

SMOOTHING = 0.99
TINY: Mapping[str, Any] = {
    "model": "tiny",
    "imageSize": 64,
    "precision": "fp32",
    "ema": {"smoothing": str(SMOOTHING)},
}


def tiny_run(batch: int = 8, **trainer: Any) -> RunConfig:
    """One CPU process and synthetic images, with these knobs of the trainer, named as in a Benchmark."""
    sizes = {"globalBatchSize": batch, "deviceMicrobatchSize": batch}
    return RunConfig.model_validate({"attempt": "benchmark", "devices": 1, "trainer": {**TINY, **sizes, **trainer}})


def fresh_parts(run: RunConfig) -> Parts:
    """Model, loader, optimiser and algorithms as the trainer makes them."""
    parts, inspection = build_parts(run, RankPlace(), torch.device("cpu")), EffectiveConfig(run.trainer, run.devices)
    return replace(parts, algorithms=(*parts.algorithms, inspection))


def beating(folder: Path) -> HeartbeatWriter:
    """A pulse that writes where a watchdog could read."""
    file = folder / "beats"
    Heartbeats(file, ranks=1, now=0.0)
    return HeartbeatWriter(file, 0)
