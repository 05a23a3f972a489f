"""Builds Kueue's objects: a flavor of devices, a queue with a quota, and the priority classes."""

import json
from typing import Any

from harness.addons.kueue import VERSION
from harness.control_plane.components import ControlPlane
from harness.kwok_cluster import DEVICE
from harness.polling import until
from testkit.operators.operator_process import apply, condition, read

FLAVOR = "a100"
PRIORITIES = {"normal": 10, "urgent": 1_000}
"""PriorityClass → value."""


def make_priorities(plane: ControlPlane) -> None:
    """Creates the PriorityClasses, which Kueue uses like the scheduler."""
    for name, value in PRIORITIES.items():
        kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        apply(plane, kind | {"value": value})


def make_queue(plane: ControlPlane, namespace: str, devices: int) -> str:
    """Creates a queue with this many devices, in which higher priorities preempt lower ones; returns its name."""
    apply(plane, _kueue("ResourceFlavor", {"name": FLAVOR}))
    apply(plane, _kueue("ClusterQueue", {"name": namespace}, _quota(devices)))
    apply(plane, _kueue("LocalQueue", {"name": "devices", "namespace": namespace}, {"clusterQueue": namespace}))

    def active() -> bool:
        queue = read(plane, namespace, "localqueue", "devices")
        return condition(queue, "Active").get("status") == "True"

    until(active, 60, "the queue to be active")
    return "devices"


def drain(plane: ControlPlane, namespace: str) -> None:
    """Makes the namespace's queue admit nothing and evict what it has admitted."""
    _stop(plane, namespace, "HoldAndDrain")


def open_again(plane: ControlPlane, namespace: str) -> None:
    """Makes the namespace's queue admit again."""
    _stop(plane, namespace, "None")


def _stop(plane: ControlPlane, namespace: str, policy: str) -> None:
    patch = json.dumps({"spec": {"stopPolicy": policy}})
    plane.kubectl("patch", "clusterqueue", namespace, "--type=merge", "-p", patch)


def _kueue(kind: str, metadata: dict[str, str], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec or {}}


def _quota(devices: int) -> dict[str, Any]:
    amounts = {"cpu": "10000", "memory": "100Ti", DEVICE: str(devices)}
    resources = [{"name": name, "nominalQuota": amount} for name, amount in amounts.items()]
    flavor = {"name": FLAVOR, "resources": resources}
    return {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [{"coveredResources": list(amounts), "flavors": [flavor]}],
    }
