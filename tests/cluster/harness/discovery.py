"""Which pods may be scraped? An HTTP service discovery that answers as Prometheus' own Kubernetes discovery would.

Debian's Prometheus is built without the latter. Every answer is read live from the API server.
"""

import contextlib
import json
import re
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cluster.harness.certificates import KeyPair

META = "__meta_kubernetes"


@contextlib.contextmanager
def pod_discovery(address: str, server: str, trust: ssl.SSLContext) -> Iterator[str]:
    """The URL where Prometheus finds the target groups; served by a thread of this process."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with opener.open(f"{server}/api/v1/pods", timeout=5) as pods:
                body = json.dumps(target_groups(json.load(pods))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Prometheus asks every second: nothing to tell."""

    with ThreadingHTTPServer((address, 0), Answer) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{service.server_address[1]}/"
        finally:
            service.shutdown()


def trust_of(pair: KeyPair, authority: Path) -> ssl.SSLContext:
    """A context that believes the cluster's authority and shows a client certificate."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def target_groups(pods: dict[str, Any]) -> list[dict[str, Any]]:
    """A group per declared container port of each pod that has an address."""
    return [group for pod in pods["items"] if pod["status"].get("podIP") for group in _groups(pod)]


def _groups(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    common = _pod_labels(pod)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", []):
            labels = {
                f"{META}_pod_container_name": container["name"],
                f"{META}_pod_container_port_name": port.get("name", ""),
                f"{META}_pod_container_port_number": str(port["containerPort"]),
            }
            yield {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": common | labels}


def _pod_labels(pod: dict[str, Any]) -> dict[str, str]:
    metadata = pod["metadata"]
    labels = {
        f"{META}_namespace": metadata["namespace"],
        f"{META}_pod_name": metadata["name"],
        f"{META}_pod_uid": metadata["uid"],
        f"{META}_pod_phase": pod["status"].get("phase", ""),
        f"{META}_pod_node_name": pod["spec"].get("nodeName", ""),
    }
    for key, value in metadata.get("labels", {}).items():
        name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        labels |= {f"{META}_pod_label_{name}": value, f"{META}_pod_labelpresent_{name}": "true"}
    return labels
