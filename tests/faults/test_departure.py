"""Tests that the operator can be stopped at any moment without blocking anybody."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.control_plane.components import ControlPlane
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess
from testkit.server.examples import CreateBenchmark

pytest_plugins = ["testkit.server.fixtures"]


@pytest.fixture
def place(plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorNamespace]:
    """A namespace with its own operator, which has rights there only."""
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        yield OperatorNamespace(plane, namespace, operator)


def test_a_deletion_needs_no_running_operator(place: OperatorNamespace, create_benchmark: CreateBenchmark) -> None:
    create_benchmark()
    place.first_job()
    place.operator.kill()
    place.plane.kubectl("delete", "sdb", "tiny", "-n", place.namespace, "--cascade=foreground", "--timeout=30s")
    assert place.names("pytorchjobs") == []


def test_sigterm_ends_the_operator_cleanly_within_seconds(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark()
    place.first_job()
    place.operator.process.send_signal(signal.SIGTERM)
    assert place.operator.process.wait(10) == 0
