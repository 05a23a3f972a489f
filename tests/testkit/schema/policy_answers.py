"""Asks a release's admission policies about creations and updates by dry run."""

import json
from typing import Any

from chart.support.admission import rendered
from chart.support.rendering import Helm, Manifest, Values
from harness.control_plane.components import ControlPlane
from harness.failure import HarnessError
from harness.polling import until
from harness.tools import binary
from testkit.operators.operator_process import apply
from testkit.server.client import BenchmarkClient
from testkit.server.examples import example_benchmark

UNLISTED = "evil.example/trainer:1"
BOUNDS = {"images": ["ghcr.io/sdbench/trainer", "registry.example:5000/team/"], "maxDevices": 4, "deviceHours": "5"}
EFFECT_SECONDS = 60
"""Timeout in seconds for a policy's creation, change or deletion to take effect in the API server."""


def requested_benchmark(
    namespace: str,
    image: str | None = None,
    counts: tuple[int, ...] = (1,),
    parallelism: int = 1,
    name: str = "new",
    **limits: Any,
) -> Manifest:
    """A Benchmark in the namespace with these settings."""
    devices = {"counts": list(counts), "perPod": 1, "hourlyPrice": "1"}
    document = example_benchmark(name, devices=devices, parallelism=parallelism, limits=limits)
    document["metadata"]["namespace"] = namespace
    if image is not None:
        document["spec"]["image"] = image
    return document


def policies(release: str, values: Values, watched: tuple[str, ...] = ()) -> tuple[Manifest, ...]:
    """The policies of a release in the namespace `release`."""
    return rendered(Helm(binary("helm")), values, watched, "--namespace", release)


class Judge:
    """Asks the API server by dry run what it refuses."""

    def __init__(self, plane: ControlPlane, *namespaces: str) -> None:
        self.plane = plane
        self._clients = {namespace: BenchmarkClient(plane.kubeconfig, namespace) for namespace in namespaces}

    def of(self, document: Manifest) -> str:
        """Why the document may not be created; empty if it may."""
        answer = self._clients[document["metadata"]["namespace"]].create(document)
        assert answer.accepted or "ValidatingAdmissionPolicy" in answer.message, answer.message
        return "" if answer.accepted else answer.message

    def refusal_of_change(self, namespace: str, name: str, patch: dict[str, Any], *options: str) -> str:
        """Why the Benchmark may not be changed this way; empty if it may."""
        change = ("--type=merge", "-p", json.dumps(patch), "--dry-run=server", *options)
        message = ""
        try:
            self.plane.kubectl("patch", "sdb", name, "-n", namespace, *change)
        except HarnessError as refusal:
            message = str(refusal)
        assert not message or "ValidatingAdmissionPolicy" in message, message
        return message

    def install(self, objects: tuple[Manifest, ...], *namespaces: str) -> None:
        """Applies policies; returns once each of these namespaces refuses a Benchmark that no policy allows."""
        for one in objects:
            apply(self.plane, one)
        forbidden = [requested_benchmark(namespace, UNLISTED, (8,)) for namespace in namespaces]
        until(lambda: all(self.of(one) for one in forbidden), EFFECT_SECONDS, "the policies to take effect")

    def remove(self, objects: tuple[Manifest, ...], *namespaces: str) -> None:
        """Deletes policies; returns once these namespaces accept any Benchmark."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.plane.kubectl("delete", "--ignore-not-found", "-f", "-", input=json.dumps(listed))
        forbidden = [requested_benchmark(namespace, UNLISTED, (8,)) for namespace in namespaces]
        until(lambda: not any(self.of(one) for one in forbidden), EFFECT_SECONDS, "the policies to lose effect")
