"""Who has asked the API server for what? Its audit log, of ServiceAccounts only.

with ControlPlane(options=audited(log, policy)) as plane: …
requests(log)
"""

import json
from collections.abc import Iterator
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
    """With its subresource, as in `pods/log`."""
    code: int
    at: datetime

    @property
    def writes(self) -> bool:
        return self.verb in WRITES


def audited(log: Path) -> dict[str, list[str]]:
    """Options of a control plane that make its API server keep this log."""
    policy = log.with_suffix(".policy")
    policy.write_text(json.dumps(POLICY))
    return {"kube-apiserver": [f"--audit-policy-file={policy}", f"--audit-log-path={log}"]}


def requests(log: Path, namespace: str) -> tuple[Request, ...]:
    """What the ServiceAccounts of a namespace have asked for so far."""
    return tuple(_requests(log, f"system:serviceaccount:{namespace}:"))


def _requests(log: Path, prefix: str) -> Iterator[Request]:
    # The last line may be half written.
    for line in log.read_text().splitlines():
        if line.endswith("}") and f'"{prefix}' in line:
            event = json.loads(line)
            if event["user"]["username"].startswith(prefix) and "objectRef" in event:
                yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    about = event["objectRef"]
    resource = "/".join(filter(None, (about["resource"], about.get("subresource", ""))))
    code = event.get("responseStatus", {}).get("code", 0)
    at = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return Request(event["user"]["username"], event["verb"], about.get("apiGroup", ""), resource, code, at)
