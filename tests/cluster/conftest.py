"""Provides one real cluster with the operator installed, for the whole session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.support import scene
from cluster.support.lives import Stage
from cluster.support.object_history import watched
from harness.cluster import Cluster, build_everything
from harness.images.derived import MODEL_MODULE, trainer_with

MISBEHAVIOUR = Path(__file__).parent / "support" / "misbehaviour.py"
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
    return trainer_with(cluster.containers, "sdbench-trainer-crashing", MODEL_MODULE, BAD_WEATHER)


@pytest.fixture(scope="session")
def stage(cluster: Cluster, prepared: None) -> Iterator[Stage]:
    """The cluster with the trainer's image that misbehaves when it is asked to, and with a record of what happens."""
    name = "sdbench-trainer-misbehaving"
    image = trainer_with(cluster.containers, name, MODEL_MODULE, MISBEHAVIOUR.read_text())
    with watched(cluster, None, "stablediffusionbenchmarks") as benchmarks, watched(cluster, None, "pods") as pods:
        yield Stage(cluster, image, benchmarks, pods)
