"""Wraps a loader to time each rank's wait for data and to count replaced samples.

Composer's own events cannot tell the wait: AFTER_DATALOADER fires after an all-reduce and so blames every rank for one.

How many samples could not be read, and when are those too many? Counted over all ranks, without a collective.

A rank that replaced a sample adds it to a counter in the ranks' store, and learns the sum: no step waits for it, and
where every sample can be read nothing is sent. Over LIMIT of the run's samples the run ends: on the rank that sees it,
at once, where the run's length is known beforehand; on all ranks at its end.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import torch.distributed as dist

from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.data.mds import REPLACED
from sdbench_trainer.errors import DataMissing
from sdbench_trainer.model.stable_diffusion import Batch

LIMIT = Decimal("0.01")
KEY = "sdbench/replaced"


def _too_many(replaced: int, samples: int, ended: bool) -> DataMissing:
    return DataMissing(
        f"{replaced} samples {'were' if ended else 'are already'} unreadable, over {LIMIT:%} of the run's {samples}; "
        "find them with `sdbench-trainer shards check` and build the shards anew."
    )


def require_few(replaced: int, samples: int) -> None:
    """Raise DataMissing if over LIMIT of the samples of a run, which has ended, were replaced."""
    if replaced > samples * LIMIT:
        raise _too_many(replaced, samples, ended=True)


def planned_samples(config: TrainerConfig, global_batch_size: int) -> int | None:
    """Samples of a whole run; None where the clock decides when its warm-up ends."""
    window = config.window
    return None if window.warmup_seconds else (window.warmup_batches + window.batches) * global_batch_size


def shared_store() -> Any:
    """The store in which the ranks met; None for one rank alone."""
    return dist.distributed_c10d._get_default_store() if dist.is_initialized() else None


@dataclass
class Replaced:
    """The samples that were replaced."""

    planned: int | None = None
    store: Any = None
    own: int = 0
    """On this rank."""

    def add(self, count: int) -> None:
        """Count samples of this rank. Raises DataMissing once it is certain that the run has too many."""
        if not count:
            return
        self.own += count
        everywhere = self.own if self.store is None else self.store.add(KEY, count)
        if self.planned is not None and everywhere > self.planned * LIMIT:
            raise _too_many(everywhere, self.planned, ended=False)


class TimedLoader:
    """A loader that counts the seconds its user waited; whatever else it is asked, the wrapped one answers."""

    def __init__(
        self, loader: Any, replaced: Replaced | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.loader = loader
        self.replaced = replaced or Replaced()
        self.waited = 0.0
        self._clock = clock

    def __iter__(self) -> Iterator[Batch]:
        began = self._clock()
        batches = iter(self.loader)
        self.waited += self._clock() - began
        while True:
            began = self._clock()
            batch = next(batches, None)
            self.waited += self._clock() - began
            if batch is None:
                return
            self.replaced.add(batch.get(REPLACED, 0))
            yield {name: tensor for name, tensor in batch.items() if name != REPLACED}

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        """batch_size, dataset, state_dict, load_state_dict, …: those of the wrapped loader, if it has them."""
        if name == "loader":
            raise AttributeError(name)
        return getattr(self.loader, name)
