"""Breaks a collective among real ranks with gloo, as its argument says.

collectives.py shapes      rank 1 reduces fewer numbers than the others, after a second
collectives.py devices     the real trainer, with another device on rank 1
"""

import sys
import time
from unittest.mock import patch

import torch
import torch.distributed as dist

from sdbench_trainer import train
from sdbench_trainer.distributed import RankPlace, meet
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig


def unequal(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    meet(run, place, pulse)
    pulse.enter(RankPhase.SETTING_UP)
    odd = place.rank == 1
    time.sleep(float(odd))
    dist.all_reduce(torch.ones(4 if odd else 8))
    return Report(attempt=run.attempt)


def mixed(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    name = "NVIDIA H100" if place.rank == 1 else "NVIDIA A100"
    with patch.object(train, "device_name", lambda run: name):
        return train.train_rank(run, place, pulse)


if __name__ == "__main__":
    train.run_rank(mixed if sys.argv[1] == "devices" else unequal)
