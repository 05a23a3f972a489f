"""Enforces NetworkPolicies with kube-router's firewall, in the node's namespaces beside kube-proxy.

The CNI bridge plugin itself enforces nothing. Traffic between two pods on one bridge passes iptables only if
net.bridge.bridge-nf-call-iptables is 1 in the node's network namespace, so it is set here.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.control_plane.components import ControlPlane
from harness.daemons import Daemon, daemon
from harness.node import addresses
from harness.node.containers import Containerd
from harness.node.kubelet import NODE_NAME
from harness.runs import Run
from harness.tools import binary

CHAINS = ("KUBE-ROUTER-INPUT", "KUBE-ROUTER-FORWARD", "KUBE-ROUTER-OUTPUT")
BRIDGED = "/proc/sys/net/bridge/bridge-nf-call-iptables"


@contextlib.contextmanager
def kube_router(run: Run, plane: ControlPlane, containers: Containerd) -> Iterator[Daemon]:
    """Enforces NetworkPolicies on the node inside the block, each a moment after its creation."""
    inside = containers.namespaces.inside
    _run(inside("sh", "-c", f"echo 1 > {BRIDGED}"))
    command: list[str | Path] = [
        binary("kube-router"),
        f"--kubeconfig={plane.client_kubeconfig('kube-router', ('system:masters',))}",
        f"--hostname-override={NODE_NAME}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--enable-cni=false",
        f"--service-cluster-ip-range={addresses.SERVICES}",
        "--health-port=0",
    ]
    with daemon(run, "kube-router", inside(*command)) as started:
        started.wait_until(lambda: all(chain in _run(inside("iptables-save")) for chain in CHAINS))
        yield started
    for chain in CHAINS:
        _run(inside("iptables", "--flush", chain))


def _run(command: list[str]) -> str:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
