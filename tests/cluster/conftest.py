"""What do the cluster tests run against? One real cluster for the whole session."""

from collections.abc import Iterator

import pytest

from cluster.harness.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A control plane, a node that runs pods, the training-operator, the project's images, S3 and Prometheus."""
    with Cluster() as running:
        yield running
