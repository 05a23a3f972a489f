"""Creates Node objects that claim to be ready, so that the real scheduler places pods on them.

A pod that is bound to one stays as it is: nothing runs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes import client, config

LEASES = "kube-node-lease"
BEAT_SECONDS = 5
"""Seconds between heartbeats; after 40 s without one the controller-manager taints a node."""


@dataclass(frozen=True)
class FakeNode:
    """A node with room for two pods of one core each."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    taint: str = ""
    """The key of a taint with the effect NoSchedule."""

    def document(self) -> dict[str, Any]:
        taints = [{"key": self.taint, "effect": "NoSchedule"}] if self.taint else []
        labels = {"kubernetes.io/hostname": self.name, **self.labels}
        room = {"cpu": "2", "memory": "64Gi", "ephemeral-storage": "500Gi", "pods": "10"}
        status = {"capacity": room, "allocatable": room, "conditions": [_ready()]}
        return {"metadata": {"name": self.name, "labels": labels}, "spec": {"taints": taints}, "status": status}


@contextmanager
def fake_nodes(kubeconfig: Path, nodes: tuple[FakeNode, ...]) -> Iterator[None]:
    """Creates these nodes, keeps them ready inside the block, and deletes them afterwards."""
    api = config.new_client_from_config(str(kubeconfig))
    core, leases, stopped = client.CoreV1Api(api), client.CoordinationV1Api(api), threading.Event()
    for node in nodes:
        core.create_node(node.document())
        leases.create_namespaced_lease(LEASES, {"metadata": {"name": node.name}, "spec": _lease_spec(node.name)})
    beating = threading.Thread(target=_beat, args=(leases, nodes, stopped), name="nodes")
    beating.start()
    try:
        yield
    finally:
        stopped.set()
        beating.join()
        for node in nodes:
            core.delete_node(node.name)


def _beat(leases: client.CoordinationV1Api, nodes: tuple[FakeNode, ...], stopped: threading.Event) -> None:
    while not stopped.wait(BEAT_SECONDS):
        for node in nodes:
            leases.patch_namespaced_lease(node.name, LEASES, {"spec": _lease_spec(node.name)})


def _lease_spec(name: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}


def _ready() -> dict[str, str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
    return {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played", **times}
