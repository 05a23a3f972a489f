"""Steps the optimizer as PyTorch gives it by default, then the average, then clears the gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.plain import average


def optimizer_of(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """AdamW without further arguments; on a CPU that is one tensor after the other."""
    return torch.optim.AdamW(weights, lr=learning_rate)


def finish_step(
    optimizer: torch.optim.Optimizer, averages: Sequence[Tensor], weights: Sequence[Tensor], smoothing: float
) -> None:
    """All that is left to do once the gradients are there."""
    optimizer.step()
    average.update(averages, weights, smoothing)
    optimizer.zero_grad()
