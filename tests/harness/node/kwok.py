"""Simulates the kubelets of nodes that do not exist with kwok, by its own node stages and our pod stages.

kwok simulates a node while it has the label PLAYED. Without the label nothing renews its lease or updates its pods, as
when a machine dies.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.control_plane.components import ControlPlane
from harness.daemons import Daemon, daemon
from harness.runs import Run
from harness.tools import KWOK, binary, module_source

SIMULATED = "sdbench.test/played"
LEASE_SECONDS = 4
OF_NODES = (
    "kustomize/stage/node/fast/node-initialize.yaml",
    "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
)


@contextlib.contextmanager
def simulated_kubelets(run: Run, plane: ControlPlane, of_pods: str) -> Iterator[Daemon]:
    """Runs kwok: every labelled node is Ready, and its pods go through the stages `of_pods` (YAML documents)."""
    config = run.folder / "kwok.yaml"
    config.write_text("\n---\n".join((*_of_nodes(), of_pods)))
    command: list[str | Path] = [
        binary("kwok"),
        f"--kubeconfig={plane.client_kubeconfig('kwok', ('system:masters',))}",
        f"--config={config}",
        f"--manage-nodes-with-label-selector={SIMULATED}",
        f"--node-lease-duration-seconds={LEASE_SECONDS}",
    ]
    with daemon(run, "kwok", command) as started:
        yield started


def node(name: str, capacity: dict[str, str]) -> dict[str, Any]:
    """The manifest of a node that kwok simulates."""
    metadata = {"name": name, "labels": {SIMULATED: "", "kubernetes.io/hostname": name}}
    status = {"capacity": capacity, "allocatable": capacity}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}


def ready(plane: ControlPlane) -> tuple[str, ...]:
    """The names of the nodes that are Ready."""
    nodes = json.loads(plane.kubectl("get", "nodes", "-o", "json"))["items"]
    return tuple(each["metadata"]["name"] for each in nodes if _ready(each))


def _ready(found: dict[str, Any]) -> bool:
    conditions = found["status"].get("conditions", ())
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def _of_nodes() -> Iterator[str]:
    return ((module_source(KWOK) / path).read_text() for path in OF_NODES)
