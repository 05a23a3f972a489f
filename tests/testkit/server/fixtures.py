"""Provides the API tests' surroundings: the CRD, a namespace per test, an account with the operator's rights."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.faults.multi_namespace import SharedCluster, open_shared_cluster
from testkit.operators.operator_process import ROOT, account, apply
from testkit.server.examples import CreateBenchmark, example_benchmark
from testkit.server.namespaces import create_namespace

CRD = ROOT / "crds/stablediffusionbenchmarks.yaml"


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with our CRD."""
    control_plane.kubectl("apply", "-f", CRD)
    until(
        lambda: control_plane.serves("sdbench.dev/v1alpha1", "stablediffusionbenchmarks"),
        60,
        "the API server to serve Benchmarks",
    )
    return control_plane


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    """The test's own namespace, in which pods can be created."""
    return create_namespace(plane)


@pytest.fixture(scope="session")
def dry_run_namespace(plane: ControlPlane) -> str:
    """A namespace for dry runs."""
    return create_namespace(plane)


@pytest.fixture
def kubeconfig(plane: ControlPlane, namespace: str) -> Path:
    """A kubeconfig of the operator's ServiceAccount in the namespace."""
    return account(plane, namespace)


@pytest.fixture
def create_benchmark(plane: ControlPlane, namespace: str) -> CreateBenchmark:
    """A function that applies the example with parts of its spec replaced, and returns the document."""

    def create(name: str = "tiny", **spec: Any) -> dict[str, Any]:
        document = example_benchmark(name, **spec)
        document["metadata"]["namespace"] = namespace
        apply(plane, document)
        return document

    return create


@pytest_asyncio.fixture(scope="module")
async def shared_cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedCluster]:
    """Namespaces for many cases at once, with a running kubelet and a log of objects."""
    async with open_shared_cluster(plane, tmp_path_factory.mktemp("shared")) as found:
        yield found
