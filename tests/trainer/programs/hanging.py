"""Runs the real trainer and makes its last rank hang in the sixth forward pass."""

import time
from typing import Any

from sdbench_trainer import train
from sdbench_trainer.distributed import RankPlace
from sdbench_trainer.heartbeat import HeartbeatWriter
from sdbench_trainer.model.stable_diffusion import StableDiffusion
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig

PASSES = 6
forward = StableDiffusion.forward
passes = 0


def hanging(self: StableDiffusion, batch: Any) -> Any:
    global passes
    passes += 1
    while passes == PASSES:
        time.sleep(0.05)
    return forward(self, batch)


def trained(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    if place.rank == place.world - 1:
        StableDiffusion.forward = hanging  # type: ignore[method-assign]
    return train.train_rank(run, place, pulse)


if __name__ == "__main__":
    train.run_rank(trained)
