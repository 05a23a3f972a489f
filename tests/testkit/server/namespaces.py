"""Creates a namespace in which pods can be created."""

from uuid import uuid4

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.operator_process import apply


def create_namespace(plane: ControlPlane) -> str:
    """Creates a namespace; returns its name once pods can be created in it."""
    name = f"test-{uuid4().hex[:8]}"
    apply(plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    found = ("get", "serviceaccount", "default", "-n", name, "--ignore-not-found", "-o", "name")
    until(lambda: bool(plane.kubectl(*found).strip()), 120, "the namespace's default ServiceAccount")
    return name
