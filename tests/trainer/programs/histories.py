"""Runs the real trainer on fixed batches under several settings in one process.

    histories.py '{"name": "plain", "trainer": {…}, "steps": 10, "resume": "sharded"}' …

For each case, each rank checks its own part: that the average equals its closed form in float64 and, with `resume` (the
kind of checkpoint), that a run resumed half-way has the losses, weights and average of an uninterrupted one. It prints
`history {"name": …, "losses": …, "workload": …}`, with the losses averaged over all ranks.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from composer.utils import FSDP2Config
from torch import Tensor
from torch.distributed.tensor import DTensor

from sdbench_trainer.config import Ema, Encoding, TrainerConfig
from sdbench_trainer.data.tokenizer import clip_tokenizer, token_ids
from sdbench_trainer.distributed import RankPlace, device_of, meet
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.model.effective_config import EffectiveConfig
from sdbench_trainer.model.ema import ExponentialMovingAverage
from sdbench_trainer.model.noise import draw_seed
from sdbench_trainer.model.stable_diffusion import Batch, image_encoder, moments
from sdbench_trainer.report import Report
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import Parts, batch_truth, build_parts, fit, run_rank

CPU = torch.device("cpu")
Named = dict[str, Tensor]


def local(tensor: Tensor) -> Tensor:
    """A copy of this rank's part of a tensor, in float64."""
    part = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return part.detach().double().clone()


class Diary(Algorithm):  # type: ignore[misc]
    """Records the loss and this rank's weights after each step, and the average at the end."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.weights: list[Named] = []
        self.average: Named = {}

    def match(self, event: Event, state: State) -> bool:
        return event in (Event.FIT_START, Event.BATCH_END, Event.FIT_END)

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        if event == Event.FIT_END:
            for found in state.algorithms:
                if isinstance(found, ExponentialMovingAverage):
                    self.average = {name: local(tensor) for name, tensor in found.shadow.items()}
            return
        if event == Event.BATCH_END:
            assert state.total_loss_dict is not None
            self.losses.append(float(next(iter(state.total_loss_dict.values()))))
        named = state.model.named_parameters()
        self.weights.append({name.removeprefix("module."): local(weight) for name, weight in named})


def closed_form(weights: list[Named], ema: Ema) -> Named:
    """S^m · w_s + (1 − S) · Σ_j S^(m−j) · w_(s+jk) for j = 1…m, with S = smoothing^k and m updates."""
    every, start = ema.every_batches, ema.start_batch
    smoothing, updates = float(ema.smoothing) ** every, (len(weights) - 1 - start) // every
    averages = {}
    for name, first in weights[start].items():
        later = (
            (1 - smoothing) * smoothing ** (updates - number) * weights[start + number * every][name]
            for number in range(1, updates + 1)
        )
        averages[name] = sum(later, smoothing**updates * first)
    return averages


class Fixed:
    """Yields this rank's share of fixed batches, which are the same in every case, from a given step on."""

    def __init__(self, config: TrainerConfig, place: RankPlace, first: int) -> None:
        self.batch_size = config.global_batch_size // place.world
        self._encoder: Any = None
        if config.encoding is Encoding.PRECOMPUTED:
            self._encoder = image_encoder(config.model, torch.float32, CPU, config.seed)
        self._config, self._rank, self._first = config, place.rank, first

    def __iter__(self) -> Iterator[Batch]:
        step = self._first
        while True:
            mine = slice(self._rank * self.batch_size, (self._rank + 1) * self.batch_size)
            yield {name: tensor[mine] for name, tensor in self._whole(step).items()}
            step += 1

    @torch.no_grad()
    def _whole(self, step: int) -> Batch:
        size, side = self._config.global_batch_size, self._config.image_size
        generator = torch.Generator().manual_seed(step)
        numbers = range(step * size, (step + 1) * size)
        image = torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8, generator=generator)
        seen = {"image": image} if self._encoder is None else {"moments": moments(self._encoder, image).half()}
        return {
            **seen,
            "tokens": torch.tensor(token_ids(clip_tokenizer(), [f"picture {number}" for number in numbers])),
            "draw": torch.tensor([draw_seed(17, 0, number) for number in numbers]),
        }


def near(found: Named, wanted: Named, tolerance: float, what: str) -> None:
    assert found.keys() == wanted.keys(), what
    for name, tensor in found.items():
        difference = (tensor - wanted[name]).abs().max().item() if tensor.numel() else 0.0
        assert difference <= tolerance, f"{what}: {name} differs by {difference}"


def history(
    run: RunConfig, place: RankPlace, pulse: HeartbeatWriter, first: int, **settings: Any
) -> tuple[Diary, EffectiveConfig]:
    diary, inspection = Diary(), EffectiveConfig(run.trainer, run.devices)
    made = build_parts(run, place, device_of(run, place))
    parts: Parts = replace(
        made,
        loader=Fixed(run.trainer, place, first),
        algorithms=(*made.algorithms, inspection, diary),
        settings={**made.settings, **settings},
    )
    fit(run, parts, pulse, None)
    return diary, inspection


def ending_after(run: RunConfig, trainer: dict[str, Any], steps: int) -> RunConfig:
    window = {"warmupBatches": 1, "batches": steps - 1}
    return RunConfig.model_validate(
        {**run.document(), "trainer": {**run.trainer.document(), **trainer, "window": window}}
    )


def resumed(
    case: dict[str, Any],
    run: RunConfig,
    place: RankPlace,
    pulse: HeartbeatWriter,
    straight: Diary,
    saved: dict[str, Any],
) -> None:
    """Resumes the run half-way from its checkpoint, and compares it with the uninterrupted run."""
    half = case["steps"] // 2
    (checkpoint,) = Path(saved["save_folder"]).glob(f"ep0-ba{half}*")
    where = {key: value for key, value in saved.items() if key == "parallelism_config"}
    later = ending_after(run, case["trainer"], case["steps"] - half)
    again, _ = history(later, place, pulse, half, load_path=str(checkpoint), **where)
    assert again.losses == straight.losses[half:], (again.losses, straight.losses)
    near(again.weights[0], straight.weights[half], 0.0, "weights at the resumption")
    near(again.weights[-1], straight.weights[-1], 0.0, "weights at the end")
    near(again.average, straight.average, 0.0, "average at the end")


def checked(case: dict[str, Any], run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> None:
    asked = ending_after(run, case["trainer"], case["steps"])
    saved: dict[str, Any] = {}
    if case.get("resume"):
        assert place.scratch is not None
        half = f"{case['steps'] // 2}ba"
        saved = {"save_folder": str(place.scratch / case["name"]), "save_interval": half}
        if case["resume"] == "full" and asked.trainer.data_parallel == "fsdp2":
            saved["parallelism_config"] = {"fsdp": FSDP2Config(reshard_after_forward=False, state_dict_type="full")}
    straight, inspection = history(asked, place, pulse, 0, **saved)
    assert len(straight.losses) == case["steps"]
    if asked.trainer.ema.enabled:
        near(straight.average, closed_form(straight.weights, asked.trainer.ema), 1e-6, "closed form")
        moved = (straight.average[name] - weight for name, weight in straight.weights[-1].items())
        assert any(change.numel() and change.abs().max() > 1e-6 for change in moved)
    if saved:
        resumed(case, run, place, pulse, straight, saved)
    found = {"name": case["name"], "losses": straight.losses, "workload": inspection.workload}
    print("history", json.dumps(found))


def histories(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> Report:
    meet(run, place, pulse)
    pulse.enter(RankPhase.SETTING_UP)
    for argument in sys.argv[1:]:
        checked({"steps": 10, "trainer": {}, **json.loads(argument)}, run, place, pulse)
    return Report(attempt=run.attempt, batch=batch_truth(run))


if __name__ == "__main__":
    run_rank(histories)
