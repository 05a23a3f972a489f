"""Makes a trainer misbehave as the Benchmark's name says; appended to its model's module.

Only the last rank of Attempt 1 of Trial 0 misbehaves; the others wait for it in their collectives, as in a real run.
Before it misbehaves, it creates the file HELD in the scratch volume, which the machine can see. A rank that holds
continues once the file GO exists there.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import torch

from sdbench_trainer.model.stable_diffusion import StableDiffusion

SCRATCH = Path("/tmp")
HELD, GO = SCRATCH / "held", SCRATCH / "go"
SHARED_MEMORY = Path("/dev/shm")
MEBIBYTE = 1 << 20
MIDDLE = 6
"""The forward pass in which a run is broken midway; warm-up is over by then."""

BENCHMARK, _, ORDER = json.loads(os.environ["SDBENCH_RUN"])["attempt"].rpartition("-0-1")
LAST = int(os.environ.get("RANK", "0")) == int(os.environ.get("WORLD_SIZE", "1")) - 1
MISBEHAVIOUR = BENCHMARK.rpartition("-")[0] if LAST and not ORDER else ""
forward = StableDiffusion.forward
passes = 0


def hold() -> None:
    HELD.touch()
    while not GO.exists():
        time.sleep(0.05)


def take_all_memory() -> None:
    HELD.touch()
    hoard = []
    while True:
        hoard.append(b"x" * (64 * MEBIBYTE))


def fill_shared_memory() -> None:
    """Fills /dev/shm before the loader's processes start, which pass their batches through it."""
    HELD.touch()
    with (SHARED_MEMORY / "filler").open("wb", buffering=0) as file:
        for piece in (MEBIBYTE, 4096):
            try:
                while file.write(b"x" * piece):
                    pass
            except OSError:
                continue


def leave_the_others_and_die_three_seconds_later() -> None:
    """Closes the connections, so that the others end at once; raises the root cause only after that."""
    HELD.touch()
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and str(entry.readlink()).startswith("socket:"):
            with socket.socket(fileno=os.dup(int(entry.name))) as one, contextlib.suppress(OSError):
                one.getpeername()  # which only a connection has
                one.shutdown(socket.SHUT_RDWR)
    time.sleep(3)
    raise torch.OutOfMemoryError("CUDA out of memory (three seconds after the others have lost this rank)")


IN_A_PASS = {
    "hangs-at-first": (1, hold),
    "takes-all-memory": (MIDDLE, take_all_memory),
    "dies-late": (MIDDLE, leave_the_others_and_die_three_seconds_later),
    **dict.fromkeys(
        ("hangs-midway", "worker-hangs", "loses-a-rank", "loses-a-pod", "sees-a-restart", "loses-its-node"),
        (MIDDLE, hold),
    ),
}


def misbehaving(self: StableDiffusion, batch: Any) -> Any:
    global passes
    passes += 1
    when, act = IN_A_PASS.get(MISBEHAVIOUR, (0, hold))
    if passes == when:
        act()
    return forward(self, batch)


StableDiffusion.forward = misbehaving  # type: ignore[method-assign]
if MISBEHAVIOUR == "fills-shared-memory":
    fill_shared_memory()
