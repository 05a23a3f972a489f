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
from testkit.faults.cases import OperatorGroup, run_case
from testkit.faults.multi_namespace import SharedCluster, open_shared_cluster
from testkit.faults.scenarios import Scenario, answered
from testkit.operators.operator_process import ROOT
from testkit.operators.proxy import Exchange, where

pytest_plugins = ["testkit.server.fixtures"]

TWO = Scenario("two trials", answered)
FIRST_RESULT = where("create", "events", body='"Measured"')


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    """A control plane that no other test uses."""
    with ControlPlane() as plane:
        plane.install_pytorchjob_crd()
        plane.kubectl("apply", "-f", ROOT / "crds/stablediffusionbenchmarks.yaml")
        until(lambda: plane.serves("sdbench.dev/v1alpha1", "stablediffusionbenchmarks"), 60, "Benchmarks to be served")
        yield plane


@pytest_asyncio.fixture(scope="module")
async def own_cluster(
    own_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SharedCluster]:
    async with open_shared_cluster(own_plane, tmp_path_factory.mktemp("own")) as found:
        yield found


@pytest.mark.parametrize("program", ["kube-apiserver", "etcd"])
async def test_a_restart_in_the_middle_changes_nothing(
    own_plane: ControlPlane, own_cluster: SharedCluster, tmp_path: Path, program: str
) -> None:
    """Restarts when the first result is stored and the next Trial is about to start; the operator must survive."""
    restarts: list[asyncio.Task[None]] = []

    def disturbance(group: OperatorGroup) -> None:
        async def look(exchange: Exchange) -> None:
            if FIRST_RESULT.matches(exchange.request) and not restarts:
                restarts.append(asyncio.create_task(asyncio.to_thread(own_plane.restart, program)))

        group.proxies[0].observers.append(look)

    usual = await run_case(own_cluster, TWO, tmp_path)
    try:
        found = await run_case(own_cluster, TWO, tmp_path, disturbance)
    finally:
        # If a program does not come back, that is the cause of everything that follows.
        await asyncio.gather(*restarts)
    assert len(restarts) == 1
    assert usual.end.difference(found.end) == ""
