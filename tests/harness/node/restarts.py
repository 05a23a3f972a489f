"""Stops and starts a node's kubelet and containerd, with or without its containers.

Containers are children of shims, not of containerd, so they survive a restart of the two programs. A restart of the
machine kills them. This module simulates that by killing them, but not all of a reboot: mounts, network namespaces,
files in /run and the boot ID stay. The kubelet and containerd clean up what they find dead.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.control_plane.components import ControlPlane
from harness.daemons import Daemon
from harness.node.containers import Containerd
from harness.node.kubelet import NODE_NAME, ready
from harness.polling import until
from harness.traces import pod_groups

VOLUMES = "volumes/kubernetes.io~empty-dir"
END_SECONDS = 20


@dataclass(frozen=True)
class Node:
    """The one node of the cluster."""

    plane: ControlPlane
    containers: Containerd
    kubelet: Daemon

    def folder_of(self, pod_uid: str, volume: str) -> Path:
        """The path on this machine of a pod's emptyDir on disk."""
        return self.plane.folder / "kubelet" / "pods" / pod_uid / VOLUMES / volume

    def stop(self) -> None:
        """Stops kubelet and containerd; the containers keep running."""
        self.kubelet.stop(gently=True)
        self._containerd.stop(gently=True)

    def kill_containers(self) -> None:
        """Kills every shim, then every process of every pod, so that nothing can report how they ended."""
        for wanted in (self._shims, _in_pods):
            for pid in wanted():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            until(lambda: not any(True for _ in wanted()), END_SECONDS, "the node's processes to end")  # noqa: B023

    def start(self) -> None:
        """Starts containerd and kubelet; returns once the kubelet has renewed its lease and the node is Ready."""
        before = self._lease()
        self._containerd.start()
        self._containerd.wait_until(self.containers.serves_a_kubelet)
        self.kubelet.start()
        self.kubelet.wait_until(lambda: self._lease() not in (before, "") and ready(self.plane))

    @property
    def _containerd(self) -> Daemon:
        assert self.containers.process is not None, "this containerd was not started here"
        return self.containers.process

    def _lease(self) -> str:
        """The time of the kubelet's last heartbeat; empty before the first."""
        what = ("get", "lease", NODE_NAME, "-n", "kube-node-lease", "-o", "jsonpath={.spec.renewTime}")
        return self.plane.kubectl(*what, check=False)

    def _shims(self) -> Iterator[int]:
        for pid, command in _commands():
            if "containerd-shim" in command and str(self.containers.socket) in command:
                yield pid


def _commands() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_text().replace("\0", " ")


def _in_pods() -> Iterator[int]:
    for group in pod_groups():
        for processes in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                yield from map(int, processes.read_text().split())
