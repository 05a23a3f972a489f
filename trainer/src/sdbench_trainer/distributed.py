"""Finds this rank's place from the variables that PID 1 set, and brings the ranks together.

Do all ranks train on the same kind of device? Asked once, after they have met: a mixture is no measurement.
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from sdbench_trainer.errors import ConfigInvalid, MixedDevices, RendezvousTimeout
from sdbench_trainer.heartbeat import HeartbeatWriter, RankPhase
from sdbench_trainer.run import SCRATCH_VARIABLE, START_VARIABLE, RunConfig

CONNECT_SECONDS = 5.0
"""How long one try to connect to the master may take."""

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class RankPlace:
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


def rank_place_in(environment: Mapping[str, str]) -> RankPlace:
    """The place that RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE and START_VARIABLE tell."""
    scratch = environment.get(SCRATCH_VARIABLE)
    return RankPlace(
        rank=int(environment.get("RANK", "0")),
        world=int(environment.get("WORLD_SIZE", "1")),
        local_rank=int(environment.get("LOCAL_RANK", "0")),
        local_world=int(environment.get("LOCAL_WORLD_SIZE", "1")),
        scratch=Path(scratch) if scratch else None,
        start_seconds=int(environment.get(START_VARIABLE) or "0"),
    )


def device_of(run: RunConfig, place: RankPlace) -> torch.device:
    """The device that this rank owns."""
    if not run.accelerator:
        return torch.device("cpu")
    if torch.cuda.device_count() <= place.local_rank:
        raise ConfigInvalid(f"Device {place.local_rank} was asked for; PyTorch sees {torch.cuda.device_count()} GPUs.")
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


def meet(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> None:
    """Find the master, wait until all ranks are there, and join them. Raises RendezvousTimeout.

    The master runs by then: the training-operator starts the others when it does. They may come much later.

    Torch is given nothing to time out on. Where it symbolises C++ frames slowly, its exceptions come seconds after
    their timeout, when PID 1 has ended the run already and the sentence about who is missing is lost.
    """
    pulse.enter(RankPhase.RENDEZVOUS)
    if place.world == 1:
        return
    seconds = run.watchdog.rendezvous_seconds
    store = _store_of_the_master(place, seconds)
    pulse.enter(RankPhase.GATHERING)
    _gather(store, place, place.start_seconds + seconds)
    longest = max(run.watchdog.first_step_seconds, run.watchdog.stall_seconds)
    dist.init_process_group(
        "nccl" if run.accelerator else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.world,
        timeout=timedelta(seconds=longest),
    )


def _store_of_the_master(place: RankPlace, seconds: int) -> TCPStore:
    """The store that rank 0 serves, within these seconds."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    began, master = time.monotonic(), place.rank == 0
    if not master:
        _reach(address, port, seconds)
    left = max(1.0, seconds - (time.monotonic() - began))
    try:
        return TCPStore(address, port, place.world, master, timeout=timedelta(seconds=left), wait_for_workers=False)
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        what = f"could not serve at {address}:{port}" if master else _unreached(address, port, seconds)
        raise RendezvousTimeout(f"Rank 0 {what}: {said}") from error


def _unreached(address: str, port: int, seconds: int) -> str:
    return f"was not reached at {address}:{port} within {seconds} s"


def _reach(address: str, port: int, seconds: int) -> None:
    """Return once somebody listens there. Raises RendezvousTimeout as soon as the seconds are over."""
    listening, failures = Event(), ["no answer"]

    def look() -> None:
        while not listening.is_set():
            try:
                socket.create_connection((address, port), CONNECT_SECONDS).close()
            except OSError as error:
                failures.append(error.strerror or str(error))
                time.sleep(POLL_SECONDS)
            else:
                listening.set()

    # In a thread, because nothing limits how long a name takes to be resolved.
    Thread(target=look, daemon=True).start()
    if not listening.wait(seconds):
        listening.set()
        raise RendezvousTimeout(f"Rank 0 {_unreached(address, port, seconds)}: {failures[-1]}.")


def _gather(store: TCPStore, place: RankPlace, seconds: int) -> None:
    """Wait until every rank has said that it is there. Raises RendezvousTimeout as soon as the seconds are over."""
    deadline = time.monotonic() + seconds
    here = [f"here/{rank}" for rank in range(place.world)]
    late = f"Not all of {place.world} ranks came within {seconds} s"
    try:
        store.set(here[place.rank], "")
        while not store.check(here):  # type: ignore[attr-defined]
            if time.monotonic() >= deadline:
                absent = [str(rank) for rank, key in enumerate(here) if not store.check([key])]  # type: ignore[attr-defined]
                raise RendezvousTimeout(f"{late}; not there: {', '.join(absent)}.")
            time.sleep(POLL_SECONDS)
    except RuntimeError as error:
        raise RendezvousTimeout(f"{late}; the master has left.") from error


SHOWN_KINDS = 4


def device_mismatch(names: Sequence[str]) -> str | None:
    """A sentence that names the devices and who has them, by rank; None where all have the same."""
    kinds = list(dict.fromkeys(names))
    if len(kinds) < 2:
        return None
    shares = (f"{names.count(kind)} of {len(names)} have {kind}, first rank {names.index(kind)}" for kind in kinds)
    return f"The ranks have different devices: {'; '.join(list(shares)[:SHOWN_KINDS])}."


def require_same_device(name: str) -> None:
    """Compare this rank's device with those of the others. Raises MixedDevices, on every rank."""
    if not dist.is_initialized():
        return
    names: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(names, name)
    if sentence := device_mismatch([str(name) for name in names]):
        raise MixedDevices(sentence)
