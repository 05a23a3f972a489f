"""Keeps an exponential moving average one tensor after the other."""

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def update(averages: Iterable[Tensor], weights: Iterable[Tensor], smoothing: float) -> None:
    """average ← smoothing · average + (1 − smoothing) · weight, as the formula reads."""
    for average, weight in zip(averages, weights, strict=True):
        average.copy_(average * smoothing + weight.detach() * (1.0 - smoothing))
