"""Finishes a step with PyTorch's default optimizer, the plain average, and `zero_grad`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.plain import average


def optimizer_of(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """AdamW with default arguments, which on a CPU updates one tensor at a time."""
    return torch.optim.AdamW(weights, lr=learning_rate)


def finish_step(
    optimizer: torch.optim.Optimizer, averages: Sequence[Tensor], weights: Sequence[Tensor], smoothing: float
) -> None:
    """Completes a step after its backward pass."""
    optimizer.step()
    average.update(averages, weights, smoothing)
    optimizer.zero_grad()
