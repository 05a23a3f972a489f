"""Records every object that ever existed with a watch, so that no duplicate goes unseen."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cluster import Cluster
from harness.tools import binary


@dataclass
class Watch:
    """The events of one resource, as `kubectl get --watch` writes them to a file; threads may share it."""

    file: Path
    _events: list[dict[str, Any]] = field(default_factory=list)
    _read: int = 0
    _begun: str = ""
    """The start of an event that is not completely written yet."""
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def events(self) -> list[dict[str, Any]]:
        """All complete events so far."""
        with self._turn, self.file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
            whole = new.rpartition(b"\n")[0]
            self._read += len(whole)
            self._begun = self._decoded(self._begun + whole.decode())
            return list(self._events)

    def _decoded(self, text: str) -> str:
        """Records the complete events in a text; returns the rest."""
        decoder, position = json.JSONDecoder(), 0
        while True:
            while position < len(text) and text[position].isspace():
                position += 1
            try:
                event, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError:
                return text[position:]
            self._events.append(event)

    def of(self, namespace: str) -> list[dict[str, Any]]:
        """The events of a namespace."""
        return [event for event in self.events() if event["object"]["metadata"].get("namespace") == namespace]

    def created(self) -> dict[str, str]:
        """UID → name of each object that was ever seen, in order of appearance."""
        objects = [event["object"] for event in self.events() if event["type"] == "ADDED"]
        return {value["metadata"]["uid"]: value["metadata"]["name"] for value in objects}


@contextmanager
def watched(cluster: Cluster, namespace: str | None, resource: str) -> Iterator[Watch]:
    """Records a resource of a namespace, or of all, for the duration of the block."""
    where = ("-n", namespace) if namespace else ("--all-namespaces",)
    with tempfile.NamedTemporaryFile(prefix=f"watch-{resource}-", suffix=".json") as file:
        process = subprocess.Popen(
            [
                *(str(binary("kubectl")), "--kubeconfig", str(cluster.kubeconfig)),
                *("get", resource, *where, "--watch", "--output-watch-events", "-o", "json"),
            ],
            stdout=file,
        )
        try:
            yield Watch(Path(file.name))
        finally:
            process.terminate()
            process.wait()
