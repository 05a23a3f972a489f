"""Tests that the operator can go at any moment without keeping anybody waiting."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.control_plane.components import ControlPlane
from testkit.operators.observed_state import Place
from testkit.operators.operator_process import OperatorProcess
from testkit.server.questions import Asked

pytest_plugins = ["testkit.server.places"]


@pytest.fixture
def place(plane: ControlPlane, namespace: str, kubeconfig: Path, tmp_path: Path) -> Iterator[Place]:
    """With an operator of its own, which has rights in its namespace only."""
    with OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator:
        yield Place(plane, namespace, operator)


def test_a_deletion_needs_no_running_operator(place: Place, asked: Asked) -> None:
    asked()
    place.first_job()
    place.operator.kill()
    place.plane.kubectl("delete", "sdb", "tiny", "-n", place.namespace, "--cascade=foreground", "--timeout=30s")
    assert place.names("pytorchjobs") == []


def test_sigterm_ends_the_operator_cleanly_within_seconds(place: Place, asked: Asked) -> None:
    asked()
    place.first_job()
    place.operator.process.send_signal(signal.SIGTERM)
    assert place.operator.process.wait(10) == 0
