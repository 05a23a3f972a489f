"""Measures the part of a step that follows the backward pass: its duration and its dispatched operations."""

from typing import Any

import torch

from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.comparison import estimate, interleaved, times_faster
from benchmarks.machine import free_gibibytes
from benchmarks.operations import dispatched, seconds_of
from benchmarks.plain import tail as plain
from benchmarks.results import Finding, at_least, at_most, finding, paired_finding
from benchmarks.trained import SMOOTHING
from benchmarks.weights import AveragedWeights, Weights, weights_of
from sdbench_trainer.config import Model

OPERATIONS = 10
GAIN = 6.0
TURNS = 7
NEEDED_GIBIBYTES = 20
"""Enough for 866 M fp32 numbers five times (weights, gradients, two moments, averages), and temporary tensors."""
FOURTH = 4


class Tail:
    """Finishes a step in both ways, on the same weights, gradients, moments and averages."""

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
        """Sets the gradients, as a backward pass does."""
        for weight in self.live:
            weight.grad = torch.full_like(weight, 1e-3)

    def run_ours(self) -> None:
        """Finishes a step as the trainer does."""
        self._ours.step()
        self._average.update()
        self._ours.zero_grad(set_to_none=True)

    def run_plain(self) -> None:
        """Finishes a step with PyTorch's defaults and a loop."""
        plain.finish_step(self._plain, self._averages, self.live, SMOOTHING)

    def timed(self, way: Any) -> float:
        """The seconds that one way takes once there are gradients."""
        self.backward()
        return seconds_of(way)

    def operations(self, way: Any) -> int:
        """The operations that one way dispatches once there are gradients."""
        self.backward()
        return dispatched(way)


def counted(tail: Tail) -> Finding:
    """Counts the operations of both ways."""
    ours = tail.operations(tail.run_ours)
    return finding(
        f"dispatched operations, {len(tail.live)} tensors",
        unit="operations",
        plain=tail.operations(tail.run_plain),
        ours=ours,
        value=estimate([ours]),
        value_unit="operations",
        target=at_most(OPERATIONS),
    )


def measured_weights(context: CaseContext) -> Weights:
    """The whole UNet of sd2-base, or every fourth of its tensors if memory is short."""
    if context.quick:
        return weights_of(Model.TINY)
    return weights_of(Model.SD2_BASE, 1 if free_gibibytes() >= NEEDED_GIBIBYTES else FOURTH)


def measure(context: CaseContext) -> CaseFindings:
    """Compares the optimizer's step, the average and the release of the gradients."""
    parts = [counted(Tail(weights_of(Model.TINY, every))) for every in (FOURTH, 1)]
    weights = measured_weights(context)
    tail = Tail(weights)
    pairs = interleaved(
        lambda: tail.timed(tail.run_plain),
        lambda: tail.timed(tail.run_ours),
        context.turns(TURNS),
        context.report_progress,
    )
    time = paired_finding(
        f"{weights}",
        pairs,
        scale=1e3,
        unit="ms",
        value=times_faster(pairs),
        value_unit="times faster",
        target=at_least(GAIN),
    )
    return CaseFindings(
        (*parts, counted(tail), time),
        (
            "Dispatched operations are not kernels: on a GPU one fused or foreach operation launches many kernels. "
            "PyTorch's default AdamW is a loop on CPUs and foreach on GPUs, so the plain count is valid for CPUs only.",
            f"The whole UNet is measured if {NEEDED_GIBIBYTES} GiB of memory are free, else every fourth tensor.",
        ),
    )


CASE = Case(
    "tail",
    "End of a step: optimizer, average, zero_grad",
    "Plain: `torch.optim.AdamW` with default arguments, the plain average, `zero_grad()`. Ours: the trainer's "
    "optimizer and average. Both use the same weights, gradients, moments and averages, in fp32, on one thread.",
    measure,
)
