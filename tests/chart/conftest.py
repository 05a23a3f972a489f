"""Shares one helm, and one control plane without a node, among the chart's tests."""

from collections.abc import Iterator

import pytest

from chart.support.releases import Releases, make_namespaces
from chart.support.rendering import Helm
from harness.control_plane.components import ControlPlane
from harness.tools import binary


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(binary("helm"))


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane of a cluster in which nothing was installed."""
    with ControlPlane() as started:
        make_namespaces(started)
        yield started


@pytest.fixture
def releases(helm: Helm, plane: ControlPlane) -> Iterator[Releases]:
    """Helm at the control plane; removes what a test has installed."""
    helm_there = Releases(helm, plane)
    yield helm_there
    for name in helm_there("list", "--short").stdout.split():
        helm_there("uninstall", name, "--wait")
