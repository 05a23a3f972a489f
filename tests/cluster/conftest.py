"""Provides one real cluster with the operator installed, for the whole session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.support import user
from cluster.support.broken_run import RunBreaker
from cluster.support.object_history import watched
from harness.cluster import Cluster, build_everything
from harness.images.derived import MODEL_MODULE, trainer_with

MISBEHAVIOUR = Path(__file__).parent / "support" / "misbehaviour.py"
CRASHING_FORWARD = """
def _crash(*_: object) -> None:
    raise RuntimeError("the test wants a crash")


StableDiffusion.forward = _crash
"""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what is missing before the first test, whose timeout a build would exceed."""
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
    """Writes photographs as shards into the bucket, and installs the operator."""
    folder: Path = tmp_path_factory.mktemp("photographs")
    user.put_photographs_into_bucket(cluster, folder)
    user.make_storage_service(cluster)
    user.install_operator(cluster)


@pytest.fixture(scope="session")
def make_namespace_once(cluster: Cluster) -> Callable[[str], None]:
    """A function that creates a namespace for a Benchmark."""
    return lambda name: user.make_namespace(cluster, name)


@pytest.fixture(scope="session")
def crashing_image(cluster: Cluster) -> str:
    """A trainer image whose model raises in its first forward pass."""
    return trainer_with(cluster.containers, "sdbench-trainer-crashing", MODEL_MODULE, CRASHING_FORWARD)


@pytest.fixture(scope="session")
def run_breaker(cluster: Cluster, prepared: None) -> Iterator[RunBreaker]:
    """The cluster, a trainer image that misbehaves if a Benchmark's name says so, and a record of all objects."""
    name = "sdbench-trainer-misbehaving"
    image = trainer_with(cluster.containers, name, MODEL_MODULE, MISBEHAVIOUR.read_text())
    with watched(cluster, None, "stablediffusionbenchmarks") as benchmarks, watched(cluster, None, "pods") as pods:
        yield RunBreaker(cluster, image, benchmarks, pods)
