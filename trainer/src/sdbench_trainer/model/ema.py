"""Keeps the moving average of the weights, by parameter name, with one fused operation for each update."""

# ruff: noqa: ARG002 - Composer passes more to its hooks than they need

from collections.abc import Iterator
from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


def _named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The trained parameters by the names that they have without DDP's wrapper."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name.removeprefix("module."), parameter.detach()


def _local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor, which shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def schedule(smoothing: float, every_batches: int, start_batch: int) -> str:
    """The settings of an average in words."""
    return f"{smoothing:g} every {every_batches} from {start_batch}"


class ExponentialMovingAverage(Algorithm):  # type: ignore[misc]
    """average ← smoothing^k · average + (1 − smoothing^k) · weights, after every k-th step from a start on.

    Until then the average is a copy of the weights.
    """

    def __init__(self, smoothing: float, every_batches: int = 1, start_batch: int = 0) -> None:
        """`smoothing` is the weight of the old average after one batch; the start is the end of `start_batch`."""
        self.smoothing = smoothing
        self.every_batches = every_batches
        self.start_batch = start_batch
        self.started = start_batch == 0
        self.shadow: dict[str, Tensor] = {}
        # The same tensors as in `shadow` and in the model, found once instead of in every step.
        self._averages: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._update = get_ema_multi_avg_fn(smoothing**every_batches)  # type: ignore[no-untyped-call]

    def match(self, event: Event, state: State) -> bool:
        """Whether there is anything to do at this event."""
        # By identity, since Composer's events compare slowly.
        if event is Event.BATCH_END:
            since = state.timestamp.batch.value - self.start_batch
            return bool(since >= 0 and since % self.every_batches == 0)
        return event is Event.BEFORE_LOAD or event is Event.FIT_START

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Creates the average, finds the tensors to update, or updates."""
        if event == Event.BEFORE_LOAD:
            # FSDP2 has sharded the weights, no checkpoint has been read, and DDP has not wrapped the model.
            self.shadow = {name: parameter.clone() for name, parameter in _named(state.model)}
        elif event == Event.FIT_START:
            live = dict(_named(state.model))
            self._averages = [_local(average) for average in self.shadow.values()]
            self._weights = [_local(live[name]) for name in self.shadow]
        elif self.started:
            self._update(self._averages, self._weights, None)
        else:
            self._copy()
            self.started = True

    @torch.no_grad()
    def _copy(self) -> None:
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.copy_(weight)

    def state_dict(self) -> dict[str, Any]:
        """The average as whole tensors, for a checkpoint that fits any number of ranks; every rank must call it."""
        if self._weights and not self.started:
            self._copy()
        whole = {
            name: (average.full_tensor() if isinstance(average, DTensor) else average).cpu()
            for name, average in self.shadow.items()
        }
        return {"smoothing": self.smoothing, "started": self.started, "shadow": whole}

    def load_state_dict(self, state: dict[str, Any], strict: bool = False) -> None:
        """Loads this rank's part of each whole tensor. Raises ValueError if the parameters differ."""
        saved: dict[str, Tensor] = state["shadow"]
        if saved.keys() != self.shadow.keys():
            odd = sorted(saved.keys() ^ self.shadow.keys())
            raise ValueError(f"{len(odd)} parameters are only in the checkpoint or only in the model, such as {odd[0]}")
        for name, average in self.shadow.items():
            part = saved[name].to(device=_local(average).device, dtype=average.dtype)
            if isinstance(average, DTensor):
                # Every rank has the whole tensor, so nothing needs to be sent.
                part = distribute_tensor(part, average.device_mesh, average.placements, src_data_rank=None).to_local()
            _local(average).copy_(part)
        self.started = state["started"]
