"""Keeps the moving average of the weights: one fused operation an update, by parameter name.

The average is made at BEFORE_LOAD (after FSDP2 sharded the weights, before a checkpoint is read and before DDP wraps),
is updated at BATCH_END on cached local tensors, and saves and loads whole tensors, so that a checkpoint of any world
size is right on every rank. Until it starts, the average is a copy of the weights.
"""

# ruff: noqa: ARG002 - Composer gives its hooks more than they need

from collections.abc import Iterator
from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def _named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Trained parameters by the name they have without DDP's wrapper."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name.removeprefix("module."), parameter.detach()


def _local(tensor: Tensor) -> Tensor:
    """This rank's own part, sharing memory with the whole."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _whole(tensor: Tensor) -> Tensor:
    """All of a tensor on this rank; every rank has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _sharded_like(whole: Tensor, pattern: Tensor) -> Tensor:
    """This rank's part of a whole tensor, laid out as the pattern; nothing is sent."""
    whole = whole.to(device=_local(pattern).device, dtype=pattern.dtype)
    if not isinstance(pattern, DTensor):
        return whole
    return distribute_tensor(whole, pattern.device_mesh, pattern.placements, src_data_rank=None).to_local()


def schedule(smoothing: float, every_batches: int, start_batch: int) -> str:
    """The words for an average."""
    return f"{smoothing:g} every {every_batches} from {start_batch}"


class ExponentialMovingAverage(Algorithm):  # type: ignore[misc]
    """average ← smoothing^k · average + (1 − smoothing^k) · weights, after each k-th optimiser step from a start on."""

    def __init__(self, smoothing: float, every_batches: int = 1, start_batch: int = 0) -> None:
        """`smoothing` is that of one batch; the average is a copy of the weights at the end of batch `start_batch`."""
        self.smoothing = smoothing
        self.every_batches = every_batches
        self.start_batch = start_batch
        self.started = start_batch == 0
        self.shadow: dict[str, Tensor] = {}
        self._averages: list[Tensor] = []
        self._weights: list[Tensor] = []

    def match(self, event: Event, state: State) -> bool:
        """Whether there is anything to do now; by identity, since Composer's events compare slowly."""
        if event is Event.BATCH_END:
            since = state.timestamp.batch.value - self.start_batch
            return bool(since >= 0 and since % self.every_batches == 0)
        return event is Event.BEFORE_LOAD or event is Event.FIT_START

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Begin, find the live weights again, or average."""
        if event == Event.BEFORE_LOAD:
            self.begin(state.model)
        elif event == Event.FIT_START:
            self.follow(state.model)
        elif self.started:
            torch._foreach_lerp_(self._averages, self._weights, 1.0 - self.smoothing**self.every_batches)
        else:
            self.copy()
            self.started = True

    def begin(self, model: nn.Module) -> None:
        """Start from the weights as they are."""
        self.shadow = {name: parameter.clone() for name, parameter in _named(model)}

    def follow(self, model: nn.Module) -> None:
        """Remember the live tensors, in the order of the average."""
        live = dict(_named(model))
        self._averages = [_local(average) for average in self.shadow.values()]
        self._weights = [_local(live[name]) for name in self.shadow]

    @torch.no_grad()
    def copy(self) -> None:
        """Make the average a copy of the weights."""
        torch._foreach_copy_(self._averages, self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Whole tensors by name; collective, every rank has to call it."""
        if self._weights and not self.started:
            self.copy()
        whole = {name: _whole(average).cpu() for name, average in self.shadow.items()}
        return {"smoothing": self.smoothing, "started": self.started, "shadow": whole}

    def load_state_dict(self, state: dict[str, Any], strict: bool = False) -> None:
        """Take this rank's part of each whole tensor."""
        saved: dict[str, Tensor] = state["shadow"]
        if saved.keys() != self.shadow.keys():
            odd = sorted(saved.keys() ^ self.shadow.keys())
            raise ValueError(f"the checkpoint's average and the model differ in {len(odd)} parameters, as {odd[0]}")
        for name, average in self.shadow.items():
            _local(average).copy_(_sharded_like(saved[name], average))
        self.started = state["started"]
