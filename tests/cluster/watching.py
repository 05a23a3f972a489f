"""What has ever existed? A watch that records each object's birth, so that nothing doubled goes unseen."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.harness.cluster import Cluster
from cluster.harness.tools import binary


@dataclass(frozen=True)
class Watch:
    """The events of one resource, as `kubectl get --watch` writes them to a file."""

    file: Path

    def events(self) -> list[dict[str, Any]]:
        """All whole events so far."""
        text, decoder, position = self.file.read_text(), json.JSONDecoder(), 0
        found: list[dict[str, Any]] = []
        while True:
            while position < len(text) and text[position].isspace():
                position += 1
            try:
                event, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError:
                return found
            found.append(event)

    def born(self) -> dict[str, str]:
        """UID → name of each object that was ever seen, in order of appearance."""
        objects = [event["object"] for event in self.events() if event["type"] == "ADDED"]
        return {value["metadata"]["uid"]: value["metadata"]["name"] for value in objects}


@contextmanager
def watched(cluster: Cluster, namespace: str, resource: str) -> Iterator[Watch]:
    """Record a resource of a namespace for as long as the block runs."""
    with tempfile.NamedTemporaryFile(prefix=f"watch-{resource}-", suffix=".json") as file:
        process = subprocess.Popen(
            [
                *(str(binary("kubectl")), "--kubeconfig", str(cluster.kubeconfig)),
                *("get", resource, "-n", namespace, "--watch", "--output-watch-events", "-o", "json"),
            ],
            stdout=file,
        )
        try:
            yield Watch(Path(file.name))
        finally:
            process.terminate()
            process.wait()
