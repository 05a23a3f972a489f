"""Provides one cluster of 32 simulated nodes with our CRD, for the whole session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.control_plane.components import ControlPlane
from harness.kwok_cluster import SimulatedCluster
from harness.polling import until
from harness.tools import build_simulated_cluster
from testkit.operators.operator_process import ROOT, OperatorProcess
from testkit.server.accounts import account
from testkit.server.namespaces import create_namespace

STAGES = Path(__file__).with_name("stages.yaml")
CRD = ROOT / "crds/stablediffusionbenchmarks.yaml"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what is missing before the first test, whose timeout a build would exceed."""
    if not session.config.option.collectonly and any("plane" in _fixtures(item) for item in session.items):
        build_simulated_cluster()


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """The control plane of the simulated cluster."""
    with SimulatedCluster(STAGES) as cluster:
        cluster.plane.kubectl("apply", "-f", CRD)
        served = ("sdbench.dev/v1alpha1", "stablediffusionbenchmarks")
        until(lambda: cluster.plane.serves(*served), 60, "the API server to serve Benchmarks")
        yield cluster.plane


@pytest.fixture(scope="session")
def home(plane: ControlPlane) -> str:
    """The namespace of the operator's account."""
    return create_namespace(plane)


@pytest.fixture(scope="session")
def operator(plane: ControlPlane, home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator of the whole cluster, with the rights that the chart grants."""
    log = tmp_path_factory.mktemp("operator") / "log"
    with OperatorProcess(account(plane, home, everywhere=True), None, log) as operator:
        yield operator
        assert "a bug in this version" not in operator.log_tail()


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    """The test's own namespace, in which pods can be created."""
    return create_namespace(plane)
