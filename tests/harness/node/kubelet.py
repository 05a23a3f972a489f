"""Starts kubelet, kube-proxy and CoreDNS inside the node's namespaces."""

import contextlib
import json
import subprocess
from pathlib import Path

from harness.control_plane.certificates import KeyPair
from harness.control_plane.components import ControlPlane
from harness.daemons import Daemon, daemon
from harness.node import addresses
from harness.node.containers import Containerd
from harness.ports import accepts
from harness.runs import Run
from harness.tools import binary

NODE_NAME = "node"
DNS_PORT = 53
CLUSTER_DOMAIN = "cluster.local"

COREFILE = """\
.:53 {{
    bind {address}
    errors
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 1
    }}
}}
"""


def start_node(stack: contextlib.ExitStack, run: Run, plane: ControlPlane, containers: Containerd) -> Daemon:
    """Starts kubelet, kube-proxy and CoreDNS; returns the kubelet once the node is Ready and DNS and Services work."""
    kubelet = _start_kubelet(stack, run, plane, containers)
    proxy = _start_proxy(stack, run, plane, containers)
    names = _start_names(stack, run, plane, containers)
    kubelet.wait_until(lambda: ready(plane))
    proxy.wait_until(lambda: "KUBE-SERVICES" in _chains(containers))
    names.wait_until(lambda: accepts(addresses.NODE, DNS_PORT))
    return kubelet


def _start_kubelet(stack: contextlib.ExitStack, run: Run, plane: ControlPlane, containers: Containerd) -> Daemon:
    folder = run.folder / "kubelet"
    folder.mkdir()
    user = plane.client_kubeconfig(f"system:node:{NODE_NAME}", ("system:nodes",))
    serving = plane.authority.issue("kubelet", NODE_NAME, hosts=(addresses.NODE, NODE_NAME))
    (folder / "resolv.conf").write_text("")
    config = folder / "config.json"
    config.write_text(json.dumps(_kubelet_config(folder, serving, plane.authority.certificate, containers.socket)))
    command: list[str | Path] = [
        binary("kubelet"),
        f"--config={config}",
        f"--kubeconfig={user}",
        f"--root-dir={folder}",
        f"--cert-dir={folder / 'pki'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={addresses.NODE}",
    ]
    return stack.enter_context(daemon(run, "kubelet", containers.namespaces.inside(*command)))


def _kubelet_config(folder: Path, serving: KeyPair, authority: Path, socket: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{socket}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Several Trials share two cores, so their CPU limits are small; enforced, these would only slow them down.
        "cpuCFSQuota": False,
        "address": addresses.NODE,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(authority)}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "clusterDNS": [addresses.NODE],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(folder / "resolv.conf"),
        "podLogsDir": str(folder / "logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        # Images are slow to import: the kubelet must not delete them when the disk is full.
        "imageGCHighThresholdPercent": 100,
        "maxPods": 110,
        "serializeImagePulls": False,
    }


def _start_proxy(stack: contextlib.ExitStack, run: Run, plane: ControlPlane, containers: Containerd) -> Daemon:
    user = plane.client_kubeconfig("system:kube-proxy")
    command: list[str | Path] = [
        binary("kube-proxy"),
        f"--kubeconfig={user}",
        "--proxy-mode=iptables",
        f"--hostname-override={NODE_NAME}",
        f"--cluster-cidr={addresses.PODS}",
        # Otherwise a reply from a pod on the same bridge may bypass the address translation.
        "--masquerade-all",
        # Not every machine lets us write the kernel's limits: 0 leaves them as they are.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]
    return stack.enter_context(daemon(run, "kube-proxy", containers.namespaces.inside(*command)))


def _start_names(stack: contextlib.ExitStack, run: Run, plane: ControlPlane, containers: Containerd) -> Daemon:
    user = plane.client_kubeconfig("sdbench:names", ("system:masters",))
    corefile = run.folder / "Corefile"
    corefile.write_text(COREFILE.format(address=addresses.NODE, domain=CLUSTER_DOMAIN, kubeconfig=user))
    command = containers.namespaces.inside(binary("coredns"), f"-conf={corefile}")
    return stack.enter_context(daemon(run, "coredns", command))


def ready(plane: ControlPlane) -> bool:
    """Whether the node's Ready condition is True, which it stays for a while after the kubelet has stopped."""
    condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return plane.kubectl("get", "node", NODE_NAME, "-o", condition, check=False) == "True"


def _chains(containers: Containerd) -> str:
    command = containers.namespaces.inside("iptables-save")
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
