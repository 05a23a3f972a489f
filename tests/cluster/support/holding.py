"""Holds a Trial until the test is ready; appended to the model's module in the trainer's image.

Every rank of every Trial is held before its first step: it creates HELD in the pod's scratch volume, and continues once
GO exists there; see releases.py.
"""

import time
from pathlib import Path
from typing import Any

from sdbench_trainer.model.stable_diffusion import StableDiffusion

HELD, GO = Path("/tmp/held"), Path("/tmp/go")
forward = StableDiffusion.forward


def holding(self: StableDiffusion, batch: Any) -> Any:
    HELD.touch()
    while not GO.exists():
        time.sleep(0.05)
    return forward(self, batch)


StableDiffusion.forward = holding  # type: ignore[method-assign]
