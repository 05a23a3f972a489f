"""Trains a model whose steps have a known period, with the real Composer.

    paced.py PERIOD [slow=RANK]     with an evaluation, a checkpoint and the end of an epoch in the window

Each step ends at an absolute deadline on a grid, so the cost of the loop is part of the period on every machine.
Evaluations and checkpoints are slow and shift the grid by their duration, measured inside the model. Warm-up steps are
slower.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from composer.core import Algorithm, Evaluator, Event, State
from composer.loggers import Logger
from composer.models import ComposerModel
from torch import Tensor, nn

from sdbench_trainer.distributed import RankPlace, meet
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.measure.environment import environment
from sdbench_trainer.model.ema import ExponentialMovingAverage
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import Parts, batch_truth, fit, run_rank

EPOCH_BATCHES = 17
SLOW_WARMUP = 2.0
LOADER_SECONDS = 0.06
EVALUATION_SECONDS = 0.15
CHECKPOINT_SECONDS = 0.2


class Pacer:
    """The grid of deadlines."""

    def __init__(self, period: float, warmup: int) -> None:
        self.period = period
        self.warmup = warmup
        self.deadline = 0.0
        self.began: float | None = None
        self.paused = 0.0

    def wait(self) -> None:
        """Sleeps until this step's deadline."""
        slow = SLOW_WARMUP if self.warmup > 0 else 1.0
        self.warmup -= 1
        moved = agreed(self.paused) if self.paused else 0.0
        self.deadline = (self.deadline or time.monotonic()) + self.period * slow + moved
        self.paused = 0.0
        time.sleep(max(0.0, self.deadline - time.monotonic()))

    def pause(self) -> None:
        """Notes that something other than training begins."""
        if self.began is None:
            self.began = time.monotonic()

    def resume(self) -> None:
        """Notes that training continues."""
        if self.began is not None:
            self.paused += time.monotonic() - self.began
            self.began = None


def agreed(seconds: float) -> float:
    """The value of rank 0, whose pauses are subtracted, so that all ranks keep the same grid."""
    value = torch.tensor([seconds], dtype=torch.float64)
    if dist.is_initialized():
        dist.broadcast(value, src=0)
    return float(value)


class Grid(Algorithm):  # type: ignore[misc]
    """Ends each step on the grid: it is the last algorithm, just before the callback that notes the end of the step."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer

    def match(self, event: Event, state: State) -> bool:
        return event is Event.BATCH_END

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        self.pacer.wait()


class Paced(ComposerModel):  # type: ignore[misc]
    """A linear model."""

    def __init__(self, pacer: Pacer) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.pacer = pacer

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        result: Tensor = self.linear(batch["x"])
        return result

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return (outputs - batch["x"]).square().mean()

    def eval_forward(self, batch: dict[str, Tensor], outputs: Any = None) -> Tensor:
        self.pacer.pause()
        time.sleep(EVALUATION_SECONDS)
        result: Tensor = self.linear(batch["x"])
        return result

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        self.pacer.pause()
        time.sleep(CHECKPOINT_SECONDS)
        return super().state_dict(*arguments, **options)


class Loader:
    """Yields the batches of an epoch, each after a delay if this loader is the slow one."""

    def __init__(self, pacer: Pacer, batch_size: int, seconds: float) -> None:
        self.pacer = pacer
        self.batch_size = batch_size
        self.seconds = seconds

    def __len__(self) -> int:
        return EPOCH_BATCHES

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for _ in range(EPOCH_BATCHES):
            self.pacer.resume()
            time.sleep(self.seconds)
            yield {"x": torch.ones(self.batch_size, 4)}


class Evaluated:
    """Yields two batches for the evaluation."""

    batch_size = 1

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter([{"x": torch.ones(1, 4)}] * 2)


def paced(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    meet(run, place, pulse)
    pulse.enter(RankPhase.SETTING_UP)
    pacer = Pacer(float(sys.argv[1]), run.trainer.window.warmup_batches)
    slow = f"slow={place.rank}" in sys.argv
    loader = Loader(pacer, batch_truth(run).per_device, LOADER_SECONDS if slow else 0.0)
    model = Paced(pacer)
    assert place.scratch is not None
    settings = {
        "eval_dataloader": Evaluator(
            label="eval",
            dataloader=Evaluated(),
            metric_names=[],
        ),
        "eval_interval": "19ba",
        "save_folder": str(place.scratch / "checkpoints"),
        "save_interval": "26ba",
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    parts = Parts(model, loader, optimizer, (ExponentialMovingAverage(0.9), Grid(pacer)), settings)
    measured = fit(run, parts, pulse, None)
    return Report(attempt=run.attempt, measurement=measured, batch=batch_truth(run), environment=environment(run))


if __name__ == "__main__":
    run_rank(paced)
