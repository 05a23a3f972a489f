"""Breaks a run from outside: what a kernel, a user or a node does to ranks and pods."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.cluster import Cluster

RANK_COMMAND = "sdbench_trainer.train"
LAUNCHER_COMMAND = "sdbench_trainer.launch"
GO = "go"
"""The file in the scratch volume that lets a held run continue; see misbehaviour.py."""


def kill_a_rank(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Sends SIGKILL to the launcher's child, as the kernel or a user inside the pod would."""
    (rank,) = _ranks_of(pod["metadata"]["name"])
    os.kill(rank, signal.SIGKILL)


def delete_by_force(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Deletes the pod's object at once, whatever its container does."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    cluster.kubectl("delete", "pod", name, "-n", namespace, "--force", "--grace-period=0")


def restart_the_node(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Stops and starts kubelet and containerd; then lets the run continue, which was held until then."""
    cluster.node.stop()
    cluster.node.start()
    (cluster.node.folder_of(pod["metadata"]["uid"], "scratch") / GO).touch()


def restart_the_node_without_its_containers(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Stops and starts kubelet and containerd; in between kills every container of the node and its shim."""
    cluster.node.stop()
    cluster.node.kill_containers()
    cluster.node.start()


def _ranks_of(pod: str) -> Iterator[int]:
    """The machine's process IDs of the ranks in a pod, which are children of its launcher."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_text(), (process / "environ").read_text()
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            above = Path("/proc", parent, "cmdline").read_text()
        except OSError:
            continue
        if RANK_COMMAND in command and LAUNCHER_COMMAND in above and f"HOSTNAME={pod}\0" in environment:
            yield int(process.name)
