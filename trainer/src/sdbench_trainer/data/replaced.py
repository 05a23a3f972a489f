"""How many samples could not be read, and when are those too many? Counted over all ranks, without a collective.

A rank that replaced a sample adds it to a counter in the ranks' store, and learns the sum: no step waits for it, and
where every sample can be read nothing is sent. Over LIMIT of the run's samples the run ends: on the rank that sees it,
at once, where the run's length is known beforehand; on all ranks at its end.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import torch.distributed as dist

from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.errors import DataMissing

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
