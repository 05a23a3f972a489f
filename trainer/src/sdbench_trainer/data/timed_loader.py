"""Wraps a rank's loader: measures how long the rank waits for batches, and counts replaced samples."""

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
"""A run fails if more than this share of its samples is unreadable."""
COUNTER = "sdbench/replaced"
"""The key of the counter in the ranks' store."""


def planned_samples(config: TrainerConfig, global_batch_size: int) -> int | None:
    """The samples of a whole run; None if `warmupSeconds` leaves its length open."""
    window = config.window
    return None if window.warmup_seconds else (window.warmup_batches + window.batches) * global_batch_size


def shared_store() -> Any:
    """The store of the rendezvous, which all ranks share; None if there is only one rank."""
    return dist.distributed_c10d._get_default_store() if dist.is_initialized() else None


@dataclass
class Replaced:
    """Counts the samples that were replaced, on this rank and on all ranks."""

    planned: int | None = None
    store: Any = None
    on_this_rank: int = 0

    def add(self, count: int) -> None:
        """Adds samples of this rank. Raises DataMissing once the whole run is certain to exceed the limit."""
        if not count:
            return
        self.on_this_rank += count
        # The store adds and returns the sum, so that no step waits for a collective.
        on_all_ranks = self.on_this_rank if self.store is None else self.store.add(COUNTER, count)
        if self.planned is not None and on_all_ranks > self.planned * LIMIT:
            raise _too_many(on_all_ranks, self.planned, "are already")


def require_few(replaced: int, samples: int) -> None:
    """Raises DataMissing if a run that has ended replaced more than LIMIT of its samples."""
    if replaced > samples * LIMIT:
        raise _too_many(replaced, samples, "were")


def _too_many(replaced: int, samples: int, verb: str) -> DataMissing:
    return DataMissing(
        f"{replaced} samples {verb} unreadable, over {LIMIT:%} of the run's {samples}. "
        "Find them with `sdbench-trainer shards check` and rebuild the shards."
    )


class TimedLoader:
    """A loader that adds up the seconds for which its user waited; other attributes are those of the wrapped loader."""

    def __init__(
        self, loader: Any, replaced: Replaced | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.loader = loader
        self.replaced = replaced or Replaced()
        self.waited = 0.0
        self._clock = clock

    def __iter__(self) -> Iterator[Batch]:
        # Composer's AFTER_DATALOADER fires after an all-reduce: it would charge every rank with the slowest one's wait.
        started = self._clock()
        batches = iter(self.loader)
        self.waited += self._clock() - started
        while True:
            started = self._clock()
            batch = next(batches, None)
            self.waited += self._clock() - started
            if batch is None:
                return
            self.replaced.add(batch.get(REPLACED, 0))
            yield {name: tensor for name, tensor in batch.items() if name != REPLACED}

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        """Any other attribute, such as batch_size, dataset, state_dict and load_state_dict."""
        if name == "loader":  # not set yet, so looking it up would recurse
            raise AttributeError(name)
        return getattr(self.loader, name)
