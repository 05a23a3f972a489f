"""Configures and reads the API server's audit log of ServiceAccount requests.

with ControlPlane(options=audited(path)) as plane: …
AuditLog(path).asked(namespace)
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = {"create", "update", "patch", "delete", "deletecollection"}

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "namespaces": ["kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class Request:
    """One request as the API server saw it."""

    user: str
    verb: str
    group: str
    resource: str
    """The resource and its subresource, as in `pods/log`."""
    code: int
    at: datetime

    @property
    def writes(self) -> bool:
        return self.verb in WRITES


def audit_options(log: Path) -> dict[str, list[str]]:
    """Options of a ControlPlane that make its API server write this log."""
    policy = log.with_suffix(".policy")
    policy.write_text(json.dumps(POLICY))
    return {"kube-apiserver": [f"--audit-policy-file={policy}", f"--audit-log-path={log}"]}


class AuditLog:
    """The log while it grows; each line is read once."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._known: list[Request] = []

    def requests_of(self, namespace: str) -> tuple[Request, ...]:
        """The requests of a namespace's ServiceAccounts so far."""
        self._read_on()
        prefix = f"system:serviceaccount:{namespace}:"
        return tuple(one for one in self._known if one.user.startswith(prefix))

    def _read_on(self) -> None:
        with self._path.open("rb") as log:
            log.seek(self._offset)
            # The last line may be incomplete.
            whole, _, _ = log.read().rpartition(b"\n")
        self._offset += len(whole) + bool(whole)
        events = (json.loads(line) for line in whole.splitlines())
        self._known.extend(_request(event) for event in events if "objectRef" in event)


def _request(event: dict[str, Any]) -> Request:
    about = event["objectRef"]
    resource = "/".join(filter(None, (about["resource"], about.get("subresource", ""))))
    code = event.get("responseStatus", {}).get("code", 0)
    at = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return Request(event["user"]["username"], event["verb"], about.get("apiGroup", ""), resource, code, at)
