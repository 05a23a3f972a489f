"""What do the API tests run against? One real control plane for the whole session."""

from collections.abc import Iterator

import pytest

from cluster.harness.control_plane import ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, API server, controllers and scheduler, with the PyTorchJob CRD; no node, so no pod ever runs."""
    with ControlPlane() as plane:
        plane.install_pytorchjob_crd()
        yield plane
