"""Isolates the node from this machine in process, mount and network namespaces of its own.

Everything that a node creates (mounts, links, iptables chains, network namespaces, shims, pods) is inside. The kernel
removes it when the first process of the namespaces ends, even if the harness is killed.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_folder
from harness.daemons import daemon
from harness.failure import HarnessError
from harness.node import addresses
from harness.node.pause import pause_binary
from harness.runs import Run

HIDDEN = ("/run", "/var/lib", "/var/log")
"""Folders in which containerd, CNI and kubelet write to fixed paths: each is an empty tmpfs in the node."""


@dataclass(frozen=True)
class Namespaces:
    """The node's namespaces; `pid` is their first process, numbered by this machine."""

    pid: int

    def inside(self, *command: str | Path) -> list[str]:
        """The command line that runs `command` in the namespaces."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--"]
        return [*enter, *(str(part) for part in command)]


@contextlib.contextmanager
def node_namespaces(run: Run) -> Iterator[Namespaces]:
    """Namespaces with a link to this machine; everything in them ends with the block."""
    _demand_visible(cache_folder(), run.folder)
    unshare = [
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation=private",
        "--mount-proc",
    ]
    with daemon(run, "node", [*unshare, pause_binary()]) as process:
        first = f"/proc/{process.process.pid}/task/{process.process.pid}/children"
        process.wait_until(lambda: _is_pause(Path(first).read_text().strip()))
        namespaces = Namespaces(int(Path(first).read_text()))
        _mount(namespaces)
        try:
            _link(namespaces)
            yield namespaces
        finally:
            _unlink()


def _is_pause(pid: str) -> bool:
    """Whether unshare's child has become the pause program, so that its mounts are done."""
    return bool(pid) and pause_binary().name in Path(f"/proc/{pid}/cmdline").read_text()


def _demand_visible(*folders: Path) -> None:
    for folder in folders:
        if any(folder.is_relative_to(hidden) for hidden in HIDDEN):
            raise HarnessError(f"{folder} is hidden from the node; choose a folder outside {', '.join(HIDDEN)}")


def _mount(namespaces: Namespaces) -> None:
    """Mounts a tmpfs on each hidden folder, and shares mounts between kubelet and pods, as volumes need."""
    for hidden in HIDDEN:
        _run(namespaces.inside("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", hidden))
    _run(namespaces.inside("mount", "--make-rshared", "/"))


def _link(namespaces: Namespaces) -> None:
    machine, node = addresses.MACHINE_LINK, addresses.NODE_LINK
    prefix = addresses.LINK_PREFIX
    peer = ["peer", "name", node, "netns", str(namespaces.pid)]
    _run(["ip", "link", "add", machine, "type", "veth", *peer])
    _run(["ip", "address", "add", f"{addresses.MACHINE}/{prefix}", "dev", machine])
    _run(["ip", "link", "set", machine, "up"])
    _run(namespaces.inside("ip", "link", "set", "lo", "up"))
    _run(namespaces.inside("ip", "address", "add", f"{addresses.NODE}/{prefix}", "dev", node))
    _run(namespaces.inside("ip", "link", "set", node, "up"))
    _run(namespaces.inside("ip", "route", "add", "default", "via", addresses.MACHINE))
    _run(namespaces.inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
    for destination in (addresses.PODS, addresses.SERVICES):
        _run(["ip", "route", "add", destination, "via", addresses.NODE])


def _unlink() -> None:
    """Deletes the link at once; the kernel deletes it with the namespace, but some time later."""
    subprocess.run(["ip", "link", "delete", addresses.MACHINE_LINK], capture_output=True)


def _run(command: list[str]) -> None:
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise HarnessError(f"`{' '.join(command)}` failed: {run.stderr.strip()}")
