"""Is the average right, and does it survive a checkpoint? A rank that trains a small model, saves, loads, and compares.

    averages.py ddp|fsdp2          (on one rank both mean: as it is)

Every rank checks its own part: the average against its closed form in float64, and the average of a run that was
resumed at half way against that of the straight run.
"""

import copy
import sys
from pathlib import Path
from typing import Any

import torch
from composer import Trainer
from composer.core import Callback, State
from composer.loggers import Logger
from composer.models import ComposerModel
from composer.utils import FSDP2Config
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from sdbench_trainer.beats import Phase, Pulse
from sdbench_trainer.ema import ExponentialMovingAverage
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import batch_truth, main
from sdbench_trainer.world import Place, meet

SMOOTHING = 0.9
STEPS = 10


class Small(ComposerModel):  # type: ignore[misc]
    """Two layers, of which FSDP2 shards each by itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 6)
        self.first._fsdp_wrap = True  # type: ignore[assignment]
        self.second._fsdp_wrap = True  # type: ignore[assignment]

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        result: Tensor = self.second(torch.tanh(self.first(batch["x"])))
        return result

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return (outputs - batch["y"]).square().mean()


def local(tensor: Tensor) -> Tensor:
    """A copy of this rank's part, in float64."""
    part = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return part.detach().double().clone()


class ClosedForm(Callback):  # type: ignore[misc]
    """smoothing^n · w₀ + (1 − smoothing) · Σ smoothing^(n−k) · w_k, from the weights seen after each step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def _note(self, state: State) -> None:
        named = state.model.named_parameters()
        self.seen.append({name.removeprefix("module."): local(weight) for name, weight in named})

    def fit_start(self, state: State, logger: Logger) -> None:
        self._note(state)

    def batch_end(self, state: State, logger: Logger) -> None:
        self._note(state)

    def average(self, name: str) -> Tensor:
        first, *later = (weights[name] for weights in self.seen)
        count = len(later)
        total = SMOOTHING**count * first
        for number, weight in enumerate(later, start=1):
            total = total + (1 - SMOOTHING) * SMOOTHING ** (count - number) * weight
        return total


def batches(place: Place) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(9)
    whole = torch.randn(STEPS, 4, 12, generator=generator)
    mine = whole.chunk(place.world, dim=1)[place.rank]
    return [{"x": batch[:, :6], "y": batch[:, 6:]} for batch in mine]


def trainer(place: Place, folder: Path, kind: str, steps: int, **settings: Any) -> Trainer:
    model = Small()
    sharded = {"fsdp": FSDP2Config(reshard_after_forward=False)} if kind == "fsdp2" and place.world > 1 else None
    return Trainer(
        model=model,
        train_dataloader=batches(place),
        optimizers=torch.optim.AdamW(model.parameters(), lr=0.05),
        algorithms=[ExponentialMovingAverage(SMOOTHING)],
        max_duration=f"{steps}ba",
        device="cpu",
        device_train_microbatch_size=4 // place.world,
        precision="fp32",
        seed=3,
        run_name="averages",
        loggers=[],
        progress_bar=False,
        parallelism_config=sharded,
        save_folder=str(folder),
        save_interval=f"{STEPS // 2}ba",
        save_overwrite=True,
        **settings,
    )


def averages_of(state: State) -> dict[str, Tensor]:
    (average,) = (algorithm for algorithm in state.algorithms if isinstance(algorithm, ExponentialMovingAverage))
    return {name: local(tensor) for name, tensor in average.shadow.items()}


def near(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float, what: str) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        difference = (tensor - wanted[name]).abs().max().item() if tensor.numel() else 0.0
        assert difference <= tolerance, f"{what}: {name} differs by {difference}"


def averages(run: RunConfig, place: Place, pulse: Pulse) -> Report:
    meet(run, place)
    pulse.enter(Phase.SETTING_UP)
    assert place.scratch is not None
    kind, folder = sys.argv[1], place.scratch / "checkpoints"
    closed = ClosedForm()
    straight = trainer(place, folder, kind, STEPS, callbacks=[closed])
    straight.fit()
    found = averages_of(straight.state)
    near(found, {name: closed.average(name) for name in found}, 1e-6, "closed form")
    assert any((found[name] - closed.seen[-1][name]).abs().max() > 1e-3 for name in found if found[name].numel())
    wanted = copy.deepcopy(found)
    straight.close()
    half = next(iter(sorted(folder.glob(f"*ba{STEPS // 2}*"))))
    resumed = trainer(place, folder, kind, STEPS, load_path=str(half))
    resumed.fit()
    assert int(resumed.state.timestamp.batch) == STEPS
    near(averages_of(resumed.state), wanted, 0.0, "resumed")
    print(f"rank {place.rank}: {len(found)} averages, {sum(t.numel() for t in found.values())} values are right")
    return Report(attempt=run.attempt, batch=batch_truth(run))


if __name__ == "__main__":
    main(averages)
