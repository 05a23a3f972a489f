"""How long did a rank wait for its images, and how many of them were replaced? Wraps the loader, on the rank itself.

Composer's own events cannot tell the wait: AFTER_DATALOADER fires after an all-reduce and so blames every rank for one.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from sdbench_trainer.data.mds import REPLACED
from sdbench_trainer.data.replaced import Replaced
from sdbench_trainer.model.stable_diffusion import Batch


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
