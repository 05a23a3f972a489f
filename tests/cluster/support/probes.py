"""Probes who reaches whom, with pods that listen and connect, and from this machine outside the cluster."""

import json
import socket
from dataclasses import dataclass
from typing import Any

from cluster.support.user import apply, read
from harness.cluster import Cluster

LISTENING = (9464, 29500)
"""The ports of a training pod: its metrics, and the ranks' rendezvous."""

SECONDS = 2.0
LISTEN = f"""
import socket, threading
def serve(port):
    listening = socket.create_server(("", port), reuse_port=False)
    while True:
        listening.accept()[0].close()
for port in {LISTENING}:
    threading.Thread(target=serve, args=(port,)).start()
"""
ASK = f"""
import json, socket, sys
def reached(host, port):
    try:
        socket.create_connection((host, port), {SECONDS}).close()
        return True
    except OSError:
        return False
print(json.dumps([reached(*place) for place in json.loads(sys.argv[1])]))
"""
Place = tuple[str, int]
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Probe:
    """A pod that listens on both ports, and that can open connections."""

    cluster: Cluster
    namespace: str
    name: str

    @property
    def address(self) -> str:
        """The pod's IP."""
        return str(read(self.cluster, self.namespace, "pod", self.name)["status"]["podIP"])

    def reaches(self, *places: Place) -> list[bool]:
        """Whether the pod can connect to each place."""
        inside = ("exec", "-n", self.namespace, self.name, "--", "python3", "-c", ASK, json.dumps(places))
        reached: list[bool] = json.loads(self.cluster.kubectl(*inside))
        return reached


def machine_reaches(*places: Place) -> list[bool]:
    """Whether this machine, where Prometheus runs, can connect to each place."""
    return [_reached(*place) for place in places]


def _reached(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError:
        return False
    return True


def started(cluster: Cluster, namespace: str, name: str, labels: dict[str, str]) -> Probe:
    """Starts a probe with these labels; returns once it listens."""
    listening = {"tcpSocket": {"port": LISTENING[-1]}, "periodSeconds": 1}
    container = {
        "name": "probe",
        "image": cluster.base_image,
        "command": ["python3", "-c", LISTEN],
        "readinessProbe": listening,
        "securityContext": RESTRICTED,
    }
    spec: dict[str, Any] = {"containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    apply(cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    cluster.kubectl("wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    return Probe(cluster, namespace, name)
