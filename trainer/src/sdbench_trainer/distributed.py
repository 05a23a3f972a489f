"""Reads this rank's place from its environment, joins the ranks, and checks that their devices are the same."""

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
"""Timeout of one attempt to connect to the master."""

POLL_SECONDS = 0.2

SHOWN_DEVICES = 4
"""Most kinds of devices that a message about mixed devices lists."""


@dataclass(frozen=True)
class RankPlace:
    """One rank's place among all ranks."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    scratch: Path | None = None
    start_seconds: int = 0
    """How long other pods may take to start."""

    @property
    def nodes(self) -> int:
        """The number of pods; 1 outside a cluster."""
        return self.world // self.local_world


def rank_place_in(environment: Mapping[str, str]) -> RankPlace:
    """The place that the environment variables set by PID 1 describe."""
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
    """The device of this rank. Raises ConfigInvalid if PyTorch does not see it."""
    if not run.accelerator:
        return torch.device("cpu")
    if torch.cuda.device_count() <= place.local_rank:
        raise ConfigInvalid(
            f"Rank {place.local_rank} of this pod has no GPU: PyTorch sees {torch.cuda.device_count()}."
        )
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


def meet(run: RunConfig, place: RankPlace, pulse: HeartbeatWriter) -> None:
    """Finds the master, waits until all ranks are there, and joins them. Raises RendezvousTimeout."""
    pulse.enter(RankPhase.RENDEZVOUS)
    if place.world == 1:
        return
    # The training-operator starts the other pods once the master runs, so the master is there at once. The other ranks
    # may come much later.
    seconds = run.watchdog.rendezvous_seconds
    store = _connect_store(place, seconds)
    pulse.enter(RankPhase.GATHERING)
    _gather(store, place, place.start_seconds + seconds)
    # By now all ranks are there, so torch has nothing to wait for. Its own timeout would come too late: where it takes
    # seconds to symbolise C++ frames, PID 1 ends the run before the message about the missing rank is out.
    longest = max(run.watchdog.first_step_seconds, run.watchdog.stall_seconds)
    dist.init_process_group(
        "nccl" if run.accelerator else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.world,
        timeout=timedelta(seconds=longest),
    )


def _connect_store(place: RankPlace, seconds: int) -> TCPStore:
    """Serves the store on rank 0, and connects to it on the other ranks, within these seconds."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    began, master = time.monotonic(), place.rank == 0
    failed = f"Rank 0 was not reached at {address}:{port} within {seconds} s"
    if master:
        failed = f"Rank 0 could not serve at {address}:{port}"
    elif reason := _connection_error(address, port, seconds):
        raise RendezvousTimeout(f"{failed}: {reason}.")
    # What is left of the seconds, but enough for one attempt.
    left = max(1.0, seconds - (time.monotonic() - began))
    try:
        return TCPStore(address, port, place.world, master, timeout=timedelta(seconds=left), wait_for_workers=False)
    except RuntimeError as error:
        raise RendezvousTimeout(f"{failed}: {str(error).splitlines()[0]}") from error


def _connection_error(address: str, port: int, seconds: int) -> str | None:
    """None as soon as a connection succeeds; the last error once the seconds are over."""
    listening, failures = Event(), ["no answer"]

    def connect() -> None:
        while not listening.is_set():
            try:
                socket.create_connection((address, port), CONNECT_SECONDS).close()
            except OSError as error:
                failures.append(error.strerror or str(error))
                time.sleep(POLL_SECONDS)
            else:
                listening.set()

    # In a thread, because nothing limits how long a name takes to be resolved.
    Thread(target=connect, daemon=True).start()
    if listening.wait(seconds):
        return None
    # Ends the thread after its current attempt.
    listening.set()
    return failures[-1]


def _gather(store: TCPStore, place: RankPlace, seconds: int) -> None:
    """Waits until every rank has announced itself in the store. Raises RendezvousTimeout once the seconds are over."""
    deadline = time.monotonic() + seconds
    here = [f"here/{rank}" for rank in range(place.world)]
    late = f"Not all of {place.world} ranks joined within {seconds} s"
    try:
        store.set(here[place.rank], "")
        while not store.check(here):  # type: ignore[attr-defined]
            if time.monotonic() >= deadline:
                absent = [str(rank) for rank, key in enumerate(here) if not store.check([key])]  # type: ignore[attr-defined]
                raise RendezvousTimeout(f"{late}; missing: {', '.join(absent)}.")
            time.sleep(POLL_SECONDS)
    except RuntimeError as error:
        # The store ends with the master, which may give up a moment earlier than this rank.
        raise RendezvousTimeout(f"{late}; the master has ended.") from error


def device_mismatch(names: Sequence[str]) -> str | None:
    """A sentence that lists the devices and the ranks that have them; None if all ranks have the same device."""
    kinds = list(dict.fromkeys(names))
    if len(kinds) < 2:
        return None
    shares = (f"{names.count(kind)} of {len(names)} have {kind}, first rank {names.index(kind)}" for kind in kinds)
    return f"The ranks have different devices: {'; '.join(list(shares)[:SHOWN_DEVICES])}."


def require_same_device(name: str) -> None:
    """Compares this rank's device with those of the others. Raises MixedDevices, on every rank."""
    if not dist.is_initialized():
        return
    names: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(names, name)
    if sentence := device_mismatch([str(name) for name in names]):
        raise MixedDevices(sentence)
