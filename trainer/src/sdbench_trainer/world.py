"""Which rank is this, and where are the others? Reads the variables that PID 1 set, and brings the ranks together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore

from sdbench_trainer.failures import ConfigInvalid, RendezvousTimeout
from sdbench_trainer.run import RunConfig
from sdbench_trainer.topology import SCRATCH_VARIABLE


@dataclass(frozen=True)
class Place:
    """One rank's place among all of them."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    scratch: Path | None = None

    @property
    def nodes(self) -> int:
        """Pods, or 1 on a machine of one's own."""
        return self.world // self.local_world


def place_in(environment: Mapping[str, str]) -> Place:
    """The place that RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE name."""
    scratch = environment.get(SCRATCH_VARIABLE)
    return Place(
        rank=int(environment.get("RANK", "0")),
        world=int(environment.get("WORLD_SIZE", "1")),
        local_rank=int(environment.get("LOCAL_RANK", "0")),
        local_world=int(environment.get("LOCAL_WORLD_SIZE", "1")),
        scratch=Path(scratch) if scratch else None,
    )


def device_of(run: RunConfig, place: Place) -> torch.device:
    """The device that this rank owns."""
    if not run.accelerator:
        return torch.device("cpu")
    if torch.cuda.device_count() <= place.local_rank:
        raise ConfigInvalid(f"Device {place.local_rank} was asked for; PyTorch sees {torch.cuda.device_count()} GPUs.")
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


def meet(run: RunConfig, place: Place) -> None:
    """Wait until all ranks are there. Raises RendezvousTimeout."""
    if place.world == 1:
        return
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    patience = timedelta(seconds=run.watchdog.rendezvous_seconds)
    try:
        store = TCPStore(address, port, place.world, is_master=place.rank == 0, timeout=patience)
    except RuntimeError as error:
        raise RendezvousTimeout(
            f"Not all of {place.world} ranks met at {address}:{port} within "
            f"{run.watchdog.rendezvous_seconds} s: {str(error).splitlines()[0]}"
        ) from error
    longest = max(run.watchdog.first_step_seconds, run.watchdog.stall_seconds)
    dist.init_process_group(
        "nccl" if run.accelerator else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.world,
        timeout=timedelta(seconds=longest),
    )
