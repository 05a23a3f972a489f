"""Provides a UNet's weights without the UNet, on which the average and the optimizer are measured."""

from typing import Any

import torch
from composer.core import Event, State
from composer.devices import DeviceCPU
from torch import Tensor, nn

from benchmarks.trained import fresh_parts, tiny_run
from sdbench_trainer.config import Model
from sdbench_trainer.model.stable_diffusion import networks_on_meta
from sdbench_trainer.train import Parts


class Weights(nn.Module):
    """Every n-th parameter of a UNet, filled with ones."""

    def __init__(self, unet: nn.Module, every: int) -> None:
        super().__init__()
        shapes = [tuple(parameter.shape) for parameter in unet.parameters()][::every]
        self.all = nn.ParameterList(nn.Parameter(torch.ones(shape)) for shape in shapes)

    def __str__(self) -> str:
        elements = sum(weight.numel() for weight in self.all)
        return f"{elements / 1e6:,.1f} M parameters in {len(self.all)} tensors"


def weights_of(model: Model, every: int = 1) -> Weights:
    """The weights of a Stable Diffusion model's UNet, or every n-th of them."""
    return Weights(networks_on_meta(model).unet, every)


class AveragedWeights:
    """Weights with the trainer's own average, which is updated as Composer's engine updates it."""

    def __init__(self, weights: Weights) -> None:
        self.parts: Parts = fresh_parts(tiny_run())
        self._algorithm: Any = self.parts.algorithms[0]
        self._state = State(weights, rank_zero_seed=0, run_name="benchmark", device=DeviceCPU())
        self._state.timestamp = self._state.timestamp.to_next_batch()
        for event in (Event.BEFORE_LOAD, Event.FIT_START):
            self._run(event)

    def _run(self, event: Event) -> None:
        if self._algorithm.match(event, self._state):
            self._algorithm.apply(event, self._state, None)

    def update(self) -> None:
        """Runs the algorithm as at the end of a step."""
        self._run(Event.BATCH_END)

    @property
    def averages(self) -> list[Tensor]:
        """The averages, in the order of the weights."""
        return list(self._algorithm.shadow.values())
