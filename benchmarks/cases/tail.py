"""Measures what follows the backward pass: its time, and the operations that it dispatches."""

from statistics import median
from typing import Any

import torch

from benchmarks.case import Answer, Case, Setting
from benchmarks.comparison import estimate, interleaved, times_faster
from benchmarks.machine import free_gibibytes
from benchmarks.operations import dispatched, seconds_of
from benchmarks.plain import tail as plain
from benchmarks.results import Finding, at_least, at_most, finding
from benchmarks.trained import SMOOTHING
from benchmarks.weights import AveragedWeights, Weights, weights_of
from sdbench_trainer.config import Model

OPERATIONS = 10
GAIN = 6.0
TURNS = 7
NEEDED_GIBIBYTES = 20
"""866 M fp32 numbers five times (weights, gradients, two moments, averages), and the plain way's temporaries."""
FOURTH = 4


class Tail:
    """Both ways to finish a step, on the same weights, gradients, moments and averages."""

    def __init__(self, weights: Weights) -> None:
        self.live = list(weights.parameters())
        self._average = AveragedWeights(weights)
        self._averages = self._average.averages
        self._ours = self._average.parts.optimizer
        self._ours.param_groups.clear()
        self._ours.add_param_group({"params": self.live})
        self._plain = plain.optimizer_of(self.live, self._ours.defaults["lr"])
        self.backward()
        self._ours.step()
        self._plain.state = self._ours.state

    def backward(self) -> None:
        """Leave gradients, as a backward pass does."""
        for weight in self.live:
            weight.grad = torch.full_like(weight, 1e-3)

    def ours(self) -> None:
        """As the trainer finishes a step."""
        self._ours.step()
        self._average.update()
        self._ours.zero_grad(set_to_none=True)

    def plainly(self) -> None:
        """As PyTorch's defaults and a loop do."""
        plain.finish_step(self._plain, self._averages, self.live, SMOOTHING)

    def timed(self, way: Any) -> float:
        """Seconds of one way, once there are gradients."""
        self.backward()
        return seconds_of(way)

    def operations(self, way: Any) -> int:
        """Operations that one way dispatches, once there are gradients."""
        self.backward()
        return dispatched(way)


def counted(tail: Tail) -> Finding:
    """The operations that each way dispatches."""
    ours = tail.operations(tail.ours)
    return finding(
        f"dispatched operations, {len(tail.live)} tensors",
        unit="operations",
        plain=tail.operations(tail.plainly),
        ours=ours,
        value=estimate([ours]),
        value_unit="operations",
        target=at_most(OPERATIONS),
    )


def measured_weights(setting: Setting) -> Weights:
    """The whole UNet of sd2-base, or every fourth of its tensors where there is too little memory for it."""
    if setting.quick:
        return weights_of(Model.TINY)
    return weights_of(Model.SD2_BASE, 1 if free_gibibytes() >= NEEDED_GIBIBYTES else FOURTH)


def answer(setting: Setting) -> Answer:
    """The optimiser's step, the average and the release of the gradients."""
    parts = [counted(Tail(weights_of(Model.TINY, every))) for every in (FOURTH, 1)]
    weights = measured_weights(setting)
    tail = Tail(weights)
    pairs = interleaved(
        lambda: tail.timed(tail.plainly), lambda: tail.timed(tail.ours), setting.turns(TURNS), setting.news
    )
    time = finding(
        f"{weights}",
        unit="ms",
        plain=1e3 * median(pair.plain for pair in pairs),
        ours=1e3 * median(pair.ours for pair in pairs),
        value=times_faster(pairs),
        value_unit="times faster",
        target=at_least(GAIN),
    )
    return Answer(
        (*parts, counted(tail), time),
        (
            "These are dispatched operations, not kernels: on a GPU one fused or foreach operation is many launches. "
            "PyTorch's default AdamW is a loop on CPUs and foreach on GPUs, so the plain count holds for CPUs.",
            f"The whole UNet is measured where {NEEDED_GIBIBYTES} GiB of memory are free, else every fourth tensor.",
        ),
    )


CASE = Case(
    "tail",
    "Tail of a step: optimiser, average, zero_grad",
    "Plain: `torch.optim.AdamW` without arguments, the plain average, `zero_grad()`. Ours: the trainer's optimiser and "
    "average. Both act on the same weights, gradients, moments and averages, in fp32, on one thread.",
    answer,
)
