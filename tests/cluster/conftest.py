"""What do the cluster tests run against? One real cluster for the whole session, with the operator installed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import scene
from cluster.harness.cluster import Cluster, build_everything
from cluster.harness.derived import trainer_with

BAD_WEATHER = """
def _bad_weather(*_: object) -> None:
    raise RuntimeError("the weather was bad")


StableDiffusion.forward = _bad_weather
"""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit a build would break."""
    if not session.config.option.collectonly and any("cluster" in _fixtures(item) for item in session.items):
        build_everything()


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A control plane, a node that runs pods, the training-operator, the project's images, S3 and Prometheus."""
    with Cluster() as running:
        yield running


@pytest.fixture(scope="session")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Photographs as shards in the bucket, and the operator installed."""
    folder: Path = tmp_path_factory.mktemp("photographs")
    scene.put_photographs_into_bucket(cluster, folder)
    scene.make_storage_service(cluster)
    scene.install_operator(cluster)


@pytest.fixture(scope="session")
def make_namespace_once(cluster: Cluster) -> Callable[[str], None]:
    """Makes a namespace that a Benchmark may live in."""
    return lambda name: scene.make_namespace(cluster, name)


@pytest.fixture(scope="session")
def crashing_image(cluster: Cluster) -> str:
    """The trainer's image with a model that raises in its first forward pass."""
    return trainer_with(cluster.containers, "sdbench-trainer-crashing", "model.py", BAD_WEATHER)
