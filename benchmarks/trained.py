"""Builds the trainer's parts that the cases measure, with the trainer's own functions."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sdbench_trainer.distributed import RankPlace
from sdbench_trainer.heartbeat import Heartbeats, HeartbeatWriter
from sdbench_trainer.measure.metrics import Telemetry
from sdbench_trainer.model.effective_config import EffectiveConfig
from sdbench_trainer.report import Measurement
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import Parts, build_parts, fit

SMOOTHING = 0.99
TINY: Mapping[str, Any] = {
    "model": "tiny",
    "imageSize": 64,
    "precision": "fp32",
    "ema": {"smoothing": str(SMOOTHING)},
}


def tiny_run(batch: int = 8, **trainer: Any) -> RunConfig:
    """A run of one CPU process with synthetic images and these trainer settings, named as in a Benchmark."""
    sizes = {"globalBatchSize": batch, "deviceMicrobatchSize": batch}
    return RunConfig.model_validate({"attempt": "benchmark", "devices": 1, "trainer": {**TINY, **sizes, **trainer}})


def fresh_parts(run: RunConfig) -> Parts:
    """Builds the model, loader, optimizer and algorithms as the trainer does."""
    parts = build_parts(run, RankPlace(), torch.device("cpu"))
    return replace(parts, algorithms=(*parts.algorithms, EffectiveConfig(run.trainer, run.devices)))


def trained(run: RunConfig, folder: Path) -> Measurement:
    """Trains on a fresh model with metrics and heartbeats, as a pod does, and returns the Measurement."""
    file = folder / "beats"
    # PID 1 creates the file before its ranks start.
    Heartbeats(file, ranks=1, now=0.0)
    return fit(run, fresh_parts(run), HeartbeatWriter(file, 0), Telemetry("tiny", device_memory=False))
