"""Tests that `fit` ends when the window is complete, and fails if the loss is not finite."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from composer.core import Algorithm, Event, State
from composer.models import ComposerModel
from torch import Tensor, nn

from sdbench_trainer.errors import LossNotFinite, WindowIncomplete
from sdbench_trainer.heartbeat import HeartbeatWriter
from sdbench_trainer.run import RunConfig
from sdbench_trainer.train import Parts, batch_truth, fit, microbatch
from trainer.launching import run_config


class Line(ComposerModel):  # type: ignore[misc]
    """A linear model that counts its forward passes and returns NaN after `good` of them."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.good = good
        self.passes = 0

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        self.passes += 1
        result: Tensor = self.line(batch["x"])
        return result if self.passes <= self.good else result * float("nan")

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return outputs.square().mean()


class Ones:
    """Yields epochs of three batches."""

    batch_size = 4

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter([{"x": torch.ones(4, 1)}] * 3)


def run(**trainer: Any) -> RunConfig:
    return RunConfig.model_validate(run_config(1, trainer))


def parts(good: int = 10**9) -> Parts:
    model = Line(good)
    return Parts(model, Ones(), torch.optim.SGD(model.parameters(), lr=0.01))


def test_training_ends_with_the_last_step_of_the_window() -> None:
    made = parts()
    result = fit(run(window={"warmupBatches": 4, "batches": 7}), made, HeartbeatWriter(None, 0), None)
    assert result.batches == 7
    assert result.images == 28
    assert made.model.passes == 11
    assert result.rank_skew_ratio == 1.0


def test_microbatches_are_parts_of_one_step() -> None:
    made = parts()
    window = {"warmupBatches": 1, "batches": 2}
    result = fit(run(window=window, deviceMicrobatchSize=2), made, HeartbeatWriter(None, 0), None)
    assert (result.batches, result.images, made.model.passes) == (2, 8, 6)


def test_the_window_opens_after_the_seconds_of_warm_up() -> None:
    made = parts()
    window = {"warmupBatches": 1, "warmupSeconds": 1, "batches": 2}
    result = fit(run(window=window), made, HeartbeatWriter(None, 0), None)
    assert result.batches == 2
    assert made.model.passes > 10


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step() -> None:
    with pytest.raises(LossNotFinite, match="The loss is nan after step 3"):
        fit(run(window={"warmupBatches": 1, "batches": 7}), parts(good=2), HeartbeatWriter(None, 0), None)


def test_a_loss_that_is_not_finite_in_the_last_step_of_the_window_gives_no_measurement() -> None:
    with pytest.raises(LossNotFinite, match="The loss is nan after step 8"):
        fit(run(window={"warmupBatches": 1, "batches": 7}), parts(good=7), HeartbeatWriter(None, 0), None)


class Early(Algorithm):  # type: ignore[misc]
    """Ends the training at the end of a batch, which nothing but the callback may do."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def match(self, event: Event, state: State) -> bool:
        return bool(event is Event.BATCH_END and state.timestamp.batch == self.batch)

    def apply(self, event: Event, state: State, logger: Any) -> None:
        state.stop_training()


@pytest.mark.parametrize("batch", [1, 3, 7], ids=["at the opening", "in the window", "one batch before its end"])
def test_a_training_that_ends_before_its_window_gives_no_measurement(batch: int) -> None:
    made = replace(parts(), algorithms=(Early(batch),))
    with pytest.raises(WindowIncomplete, match="ended before its window was complete"):
        fit(run(window={"warmupBatches": 1, "batches": 7}), made, HeartbeatWriter(None, 0), None)


def test_the_load_of_the_host_is_measured() -> None:
    config = run(window={"warmupBatches": 1, "batches": 400, "maxForeignCpuRatio": "1"})
    result = fit(config, parts(), HeartbeatWriter(None, 0), None)
    assert result.foreign_cpu_ratio is not None
    assert result.steal_ratio is not None
    assert 0 <= result.foreign_cpu_ratio + result.steal_ratio <= 1
    assert not result.disturbed
    assert len(result.block_step_seconds) == 10


@pytest.mark.parametrize(("really", "microbatches"), [(None, 2), (4, 1), (3, 2), (1, 4)])
def test_the_number_of_microbatches_is_that_of_the_run(really: int | None, microbatches: int) -> None:
    asked = run(globalBatchSize=4, deviceMicrobatchSize=2)
    assert batch_truth(asked, really).microbatches == microbatches


def test_an_automatic_microbatch_is_left_to_composer() -> None:
    document = run_config(1, {"automaticMicrobatch": True}, accelerator=True)
    assert microbatch(RunConfig.model_validate(document)) == "auto"
    assert microbatch(run()) == 4
