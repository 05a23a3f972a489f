"""Updates an exponential moving average one tensor at a time."""

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def update(averages: Iterable[Tensor], weights: Iterable[Tensor], smoothing: float) -> None:
    """Sets average ← smoothing · average + (1 − smoothing) · weight, as in the formula."""
    for average, weight in zip(averages, weights, strict=True):
        average.copy_(average * smoothing + weight.detach() * (1.0 - smoothing))
