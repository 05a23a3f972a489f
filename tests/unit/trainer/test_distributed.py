"""Tests that ranks that do not meet report it on time, without waiting inside torch."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from sdbench_trainer import distributed
from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.distributed import RankPlace, meet
from sdbench_trainer.errors import RendezvousTimeout
from sdbench_trainer.heartbeat import HeartbeatWriter
from sdbench_trainer.pod.topology import free_port
from sdbench_trainer.run import RunConfig, Watchdog

LIMIT = 5
RUN = RunConfig(
    attempt="a-00000-0-1",
    devices=2,
    watchdog=Watchdog(rendezvous_seconds=LIMIT),
    trainer=TrainerConfig.model_validate({"precision": "fp32"}),
)


class ForbiddenStore:
    """A TCPStore that must not be created."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise AssertionError("torch was called to wait")


class StoreWithoutWait(TCPStore):
    """A real TCPStore in which no rank may wait."""

    def wait(self, *_: Any) -> None:
        raise AssertionError("torch was called to wait")


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    port = free_port()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    return "127.0.0.1", port


def test_a_rank_that_does_not_reach_the_master_reports_it_before_torch_is_called(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "TCPStore", ForbiddenStore)
    with pytest.raises(RendezvousTimeout, match=f"Rank 0 was not reached at 127.0.0.1:{address[1]} within 5 s: Conn"):
        meet(RUN, RankPlace(rank=1, world=2), HeartbeatWriter(None, 0))


def test_a_slow_name_resolution_does_not_delay_the_report(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "TCPStore", ForbiddenStore)
    monkeypatch.setattr(socket, "create_connection", lambda *_: Event().wait())
    began = time.monotonic()
    with pytest.raises(RendezvousTimeout, match="within 5 s: no answer"):
        meet(RUN, RankPlace(rank=1, world=2), HeartbeatWriter(None, 0))
    assert time.monotonic() - began < 30


def test_the_master_lists_the_missing_ranks_without_waiting_in_torch(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "TCPStore", StoreWithoutWait)
    place = RankPlace(rank=0, world=2, start_seconds=1)
    with pytest.raises(RendezvousTimeout, match=r"Not all of 2 ranks joined within 6 s; missing: 1\."):
        meet(RUN, place, HeartbeatWriter(None, 0))


def test_a_rank_finds_a_master_that_starts_later(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[Any] = []
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *_, **facts: joined.append(facts["rank"]))
    with _master_after(1.0, *address):
        meet(RUN, RankPlace(rank=1, world=2), HeartbeatWriter(None, 0))
    assert joined == [1]


@contextmanager
def _master_after(seconds: float, address: str, port: int) -> Iterator[None]:
    stores: list[TCPStore] = []

    def serve() -> None:
        time.sleep(seconds)
        stores.append(TCPStore(address, port, 2, True, timeout=timedelta(seconds=30), wait_for_workers=False))
        stores[0].set("here/0", "")

    thread = Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
