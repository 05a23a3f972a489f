"""Starts one real control plane for the API tests of a session."""

from collections.abc import Iterator

import pytest

from harness.control_plane.components import ControlPlane
from harness.tools import build_control_plane

PLANES = {"control_plane", "audited_plane", "bare_plane"}
"""Fixtures that start a control plane."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what is missing before the first test, whose time limit a build would break."""
    if not session.config.option.collectonly and any(PLANES & set(_fixtures(item)) for item in session.items):
        build_control_plane()


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, API server, controllers and scheduler, with the PyTorchJob CRD; no node, so no pod ever runs."""
    with ControlPlane() as plane:
        plane.install_pytorchjob_crd()
        yield plane
