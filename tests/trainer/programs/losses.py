"""Runs the real trainer and prints the loss and the samples of each step.

For each step, each rank prints `step LOSS`, averaged over all ranks, and `draws …`, the seeds of its samples.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from composer.core import Algorithm, Event, State
from composer.loggers import Logger

from sdbench_trainer.distributed import RankPlace, device_of, meet
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.measure.environment import environment
from sdbench_trainer.model.stable_diffusion import Batch
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import batch_truth, build_parts, fit, run_rank


class Diary(Algorithm):  # type: ignore[misc]
    """Prints the loss of each step."""

    def match(self, event: Event, state: State) -> bool:
        return bool(event == Event.BATCH_END)

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        assert state.total_loss_dict is not None
        print("step", repr(next(iter(state.total_loss_dict.values()))))


class Shown:
    """A loader that prints the samples that it yields."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.batch_size = loader.batch_size

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            print("draws", *batch["draw"].tolist())
            yield batch


def losses(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    device = device_of(run, place)
    meet(run, place, pulse)
    pulse.enter(RankPhase.SETTING_UP)
    parts = build_parts(run, place, device)
    shown = replace(parts, loader=Shown(parts.loader), algorithms=(*parts.algorithms, Diary()))
    measured = fit(run, shown, pulse, None)
    return Report(attempt=run.attempt, measurement=measured, batch=batch_truth(run), environment=environment(run))


if __name__ == "__main__":
    run_rank(losses)
