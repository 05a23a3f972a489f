"""Serves scrape targets over HTTP, the same that Prometheus' own Kubernetes discovery would find.

Debian's Prometheus is built without Kubernetes discovery. Every response is read live from the API server.
"""

import contextlib
import json
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.addons.roles import META, ROLES, Group
from harness.control_plane.certificates import KeyPair


@contextlib.contextmanager
def discovery(address: str, server: str, trust: ssl.SSLContext) -> Iterator[str]:
    """The base URL of the roles (`…/pod?namespace=a&namespace=b`), served by a thread of this process."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))

    def listed(path: str) -> list[dict[str, Any]]:
        with opener.open(f"{server}/{path}", timeout=5) as answer:
            items: list[dict[str, Any]] = json.load(answer)["items"]
        return items

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urllib.parse.urlsplit(self.path)
            namespaces = urllib.parse.parse_qs(asked.query).get("namespace", [])
            body = json.dumps([each for each in ROLES[asked.path[1:]](listed) if _within(each, namespaces)]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Logs nothing: Prometheus sends a request every second."""

    with ThreadingHTTPServer((address, 0), Answer) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{service.server_address[1]}"
        finally:
            service.shutdown()


def trust_of(pair: KeyPair, authority: Path) -> ssl.SSLContext:
    """An SSL context that trusts the cluster's authority and presents a client certificate."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def _within(group: Group, namespaces: list[str]) -> bool:
    """Whether a group is in one of these namespaces; an empty list means all namespaces."""
    return not namespaces or group["labels"][f"{META}_namespace"] in namespaces
