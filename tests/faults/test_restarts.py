"""Tests that a restart of the API server or of etcd during Trials changes nothing.

Everybody loses every connection at the same moment: the operator, the controllers, whoever plays.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.faults.cases import Cast, ran
from testkit.faults.multi_namespace import Grounds, opened
from testkit.faults.scenarios import Scenario, answered
from testkit.operators.operator_process import ROOT
from testkit.operators.proxy import Exchange, where

pytest_plugins = ["testkit.server.places"]

TWO = Scenario("two trials", answered)
FIRST_RESULT = where("create", "events", says='"Measured"')


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    """A control plane that no other test uses."""
    with ControlPlane() as plane:
        plane.install_pytorchjob_crd()
        plane.kubectl("apply", "-f", ROOT / "crds/stablediffusionbenchmarks.yaml")
        until(lambda: plane.serves("sdbench.dev/v1alpha1", "stablediffusionbenchmarks"), 60, "Benchmarks to be served")
        yield plane


@pytest_asyncio.fixture(scope="module")
async def own_grounds(own_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grounds]:
    async with opened(own_plane, tmp_path_factory.mktemp("own")) as found:
        yield found


@pytest.mark.parametrize("program", ["kube-apiserver", "etcd"])
async def test_a_restart_in_the_middle_changes_nothing(
    own_plane: ControlPlane, own_grounds: Grounds, tmp_path: Path, program: str
) -> None:
    """Restarts when the first result is stored and the next Trial is about to start; the operator must survive."""
    restarts: list[asyncio.Task[None]] = []

    def disturbance(cast: Cast) -> None:
        async def look(exchange: Exchange) -> None:
            if FIRST_RESULT.meets(exchange.request) and not restarts:
                restarts.append(asyncio.create_task(asyncio.to_thread(own_plane.restart, program)))

        cast.proxies[0].lookers.append(look)

    usual = await ran(own_grounds, TWO, tmp_path)
    try:
        found = await ran(own_grounds, TWO, tmp_path, disturbance)
    finally:
        # If a program does not come back, that is the cause of everything that follows.
        await asyncio.gather(*restarts)
    assert len(restarts) == 1
    assert usual.end.difference(found.end) == ""
