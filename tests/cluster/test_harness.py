"""Tests that the harness is a real cluster, and that it finds what it would have to clean up."""

import json
from typing import Any

from harness.cluster import Cluster
from harness.polling import until
from harness.traces import leftovers

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_a_restricted_pod_runs_and_its_termination_message_is_in_its_status(cluster: Cluster) -> None:
    container = {
        "name": "speaker",
        "image": cluster.base_image,
        "command": ["sh", "-c", "getent hosts kubernetes.default.svc && echo -n farewell > /dev/termination-log"],
        "securityContext": RESTRICTED,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "speaker", "namespace": "default"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(pod))
    until(lambda: _status(cluster)["phase"] in ("Succeeded", "Failed"), 60, "the pod to end")
    (ended,) = _status(cluster)["containerStatuses"]
    assert ended["state"]["terminated"]["message"] == "farewell"
    assert ended["state"]["terminated"]["exitCode"] == 0
    assert cluster.kubectl("logs", "speaker").split()[0].startswith("10.")


def test_the_traces_of_a_running_cluster_are_found(cluster: Cluster) -> None:
    """A Cluster checks at its end that nothing is left, which proves something only if the check can find traces."""
    kinds = {line.partition(" ")[0] for line in leftovers(cluster.folder)}
    assert {"process", "link", "folder"} <= kinds


def _status(cluster: Cluster) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(cluster.kubectl("get", "pod", "speaker", "-o", "json"))["status"]
    return status
