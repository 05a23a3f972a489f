"""Writes kubeconfigs: the API server's address and a client's credentials."""

import base64
import json
from pathlib import Path

from harness.control_plane.certificates import KeyPair


def with_certificate(path: Path, server: str, authority: Path, pair: KeyPair) -> Path:
    """Writes a kubeconfig for a client certificate."""
    return _write(
        path,
        server,
        authority,
        {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)},
    )


def with_token(path: Path, server: str, authority: Path, token: str, namespace: str = "default") -> Path:
    """Writes a kubeconfig for a ServiceAccount's token, with `namespace` as the default."""
    return _write(path, server, authority, {"token": token}, namespace)


def _write(path: Path, server: str, authority: Path, user: dict[str, str], namespace: str = "default") -> Path:
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    context = {"cluster": "sdbench", "user": "sdbench", "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sdbench", "cluster": cluster}],
        "users": [{"name": "sdbench", "user": user}],
        "contexts": [{"name": "sdbench", "context": context}],
        "current-context": "sdbench",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=1))  # JSON is YAML
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
