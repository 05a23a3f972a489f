"""Which rank is this, and where are the others? Reads the variables that PID 1 set, and brings the ranks together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore

from sdbench_trainer.beats import Phase, Pulse
from sdbench_trainer.failures import ConfigInvalid, RendezvousTimeout
from sdbench_trainer.run import START_VARIABLE, RunConfig
from sdbench_trainer.topology import SCRATCH_VARIABLE


@dataclass(frozen=True)
class Place:
    """One rank's place among all of them."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    scratch: Path | None = None
    start_seconds: int = 0
    """For how long other pods may still be started."""

    @property
    def nodes(self) -> int:
        """Pods, or 1 on a machine of one's own."""
        return self.world // self.local_world


def place_in(environment: Mapping[str, str]) -> Place:
    """The place that RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE and START_VARIABLE tell."""
    scratch = environment.get(SCRATCH_VARIABLE)
    return Place(
        rank=int(environment.get("RANK", "0")),
        world=int(environment.get("WORLD_SIZE", "1")),
        local_rank=int(environment.get("LOCAL_RANK", "0")),
        local_world=int(environment.get("LOCAL_WORLD_SIZE", "1")),
        scratch=Path(scratch) if scratch else None,
        start_seconds=int(environment.get(START_VARIABLE) or "0"),
    )


def device_of(run: RunConfig, place: Place) -> torch.device:
    """The device that this rank owns."""
    if not run.accelerator:
        return torch.device("cpu")
    if torch.cuda.device_count() <= place.local_rank:
        raise ConfigInvalid(f"Device {place.local_rank} was asked for; PyTorch sees {torch.cuda.device_count()} GPUs.")
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


def meet(run: RunConfig, place: Place, pulse: Pulse) -> None:
    """Find the master, wait until all ranks are there, and join them. Raises RendezvousTimeout.

    The master runs by then: the training-operator starts the others when it does. They may come much later.
    """
    pulse.enter(Phase.RENDEZVOUS)
    if place.world == 1:
        return
    seconds = run.watchdog.rendezvous_seconds
    store = _store_of_the_master(place, seconds)
    pulse.enter(Phase.GATHERING)
    _gather(store, place, place.start_seconds + seconds)
    longest = max(run.watchdog.first_step_seconds, run.watchdog.stall_seconds)
    dist.init_process_group(
        "nccl" if run.accelerator else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.world,
        timeout=timedelta(seconds=longest),
    )


def _store_of_the_master(place: Place, seconds: int) -> TCPStore:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    patience, master = timedelta(seconds=seconds), place.rank == 0
    try:
        return TCPStore(address, port, place.world, master, timeout=patience, wait_for_workers=False)
    except RuntimeError as error:
        raise RendezvousTimeout(
            f"Rank 0 was not reached at {address}:{port} within {seconds} s: {str(error).splitlines()[0]}"
        ) from error


def _gather(store: TCPStore, place: Place, seconds: int) -> None:
    """Wait until every rank has said that it is there."""
    here = [f"here/{rank}" for rank in range(place.world)]
    store.set(here[place.rank], "")
    try:
        store.wait(here, timedelta(seconds=seconds))
    except RuntimeError as error:
        raise RendezvousTimeout(
            f"Not all of {place.world} ranks came within {seconds} s{_absent(store, here)}"
        ) from error


def _absent(store: TCPStore, here: list[str]) -> str:
    """Who did not come, as the end of a sentence; nothing if the master has left meanwhile."""
    try:
        absent = [str(rank) for rank, key in enumerate(here) if not store.check([key])]  # type: ignore[attr-defined]
    except RuntimeError:
        return "."
    return f"; not there: {', '.join(absent)}."
