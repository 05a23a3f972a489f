"""Starts the control plane of the API tests, and one that keeps an audit log."""

from collections.abc import Iterator

import pytest

from api.conftest import control_plane, pytest_collection_finish
from testkit.faults.silence import IdleOperator, idle_operator
from testkit.server.audit_log import AuditedControlPlane, audited_control_plane

__all__ = ["control_plane", "pytest_collection_finish"]


@pytest.fixture(scope="session")
def audited_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedControlPlane]:
    """A second control plane, which keeps an audit log and has both CRDs."""
    with audited_control_plane(tmp_path_factory.mktemp("audit")) as audited:
        yield audited


@pytest.fixture(scope="session")
def silence(audited_plane: AuditedControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdleOperator]:
    """Starts the measurement of a silent operator with the first test that uses it."""
    with idle_operator(audited_plane, tmp_path_factory.mktemp("silence")) as begun:
        yield begun
