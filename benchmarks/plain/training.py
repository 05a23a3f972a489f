"""Trains a model in a hand-written loop that times each step.

The model, the optimizer and the one-operation average are ours, so that only the framework and the measuring differ.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sdbench_trainer.model.stable_diffusion import Batch


def train(
    model: Any,
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    averages: Sequence[Tensor],
    smoothing: float,
    steps: int,
) -> list[float]:
    """The seconds of each step, from the request for its batch to the end of its average."""
    weights = [weight.detach() for weight in model.parameters()]
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        batch = next(batches)
        optimizer.zero_grad()
        loss = model.loss(model(batch), batch)
        loss.backward()
        optimizer.step()
        torch._foreach_lerp_(list(averages), weights, 1.0 - smoothing)
        loss.item()
        seconds.append(time.perf_counter() - began)
    return seconds
