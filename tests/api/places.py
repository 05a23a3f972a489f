"""Where do the API tests happen? The CRD, a namespace for each test, an account with the operator's rights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from api.operating import account, apply
from cluster.harness.control_plane import ControlPlane
from cluster.harness.polling import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "crds/examples/tiny.yaml"
CRD = ROOT / "crds/stablediffusionbenchmarks.yaml"


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with our CRD in it."""
    control_plane.kubectl("apply", "-f", CRD)
    until(
        lambda: control_plane.serves("sdbench.dev/v1alpha1", "stablediffusionbenchmarks"),
        60,
        "the API server to serve Benchmarks",
    )
    return control_plane


@pytest.fixture
def namespace(plane: ControlPlane) -> str:
    """A namespace of its own, in which pods can be made."""
    name = f"test-{uuid4().hex[:8]}"
    apply(plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    found = ("get", "serviceaccount", "default", "-n", name, "--ignore-not-found", "-o", "name")
    until(lambda: bool(plane.kubectl(*found).strip()), 30, "the namespace's default ServiceAccount")
    return name


@pytest.fixture
def kubeconfig(plane: ControlPlane, namespace: str) -> Path:
    """Of the operator's ServiceAccount in the namespace."""
    return account(plane, namespace)


Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(plane: ControlPlane, namespace: str) -> Asked:
    """Applies the example in the namespace with these parts of its spec replaced; gives what it was."""

    def ask(name: str = "tiny", **spec: Any) -> dict[str, Any]:
        document = question(name, **spec)
        document["metadata"]["namespace"] = namespace
        apply(plane, document)
        return document

    return ask


def question(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    """The example as a document, under this name and with these parts of its spec replaced."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = name
    document["spec"] |= {"data": {}} | spec
    return document
