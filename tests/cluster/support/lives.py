"""Follows a Benchmark whose first Attempt is broken, from its creation to its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.support.object_history import Watch
from cluster.support.scene import apply, question, terminated, wait_for
from harness.cluster import Cluster
from harness.failure import HarnessError
from harness.polling import until

START_SECONDS, END_SECONDS = 300, 300
"""Until an Attempt holds, and until the next is measured: longest times on a busy machine."""

LIMITS = {
    "startSeconds": 120,
    "rendezvousSeconds": 240,
    "firstStepSeconds": 240,
    "stallSeconds": 120,
    "totalSeconds": 600,
}
TRAINER = {
    "model": "tiny",
    "imageSize": 64,
    "globalBatchSize": 4,
    "deviceMicrobatchSize": 4,
    "precision": "fp32",
    "window": {"warmupBatches": 2, "batches": 10},
}
HELD = "held"
"""The file that says so in the scratch volume of a pod, as misbehaviour.py leaves it."""

Pod = dict[str, Any]
Row = dict[str, Any]
Event = dict[str, Any]
Deed = Callable[[Cluster, Pod], None]


def few_devices(count: int) -> dict[str, Any]:
    """Pods of one device each that ask for little, since they mostly wait."""
    each = {"cpu": "100m", "memory": "1500Mi", "sharedMemory": "64Mi"}
    return {"counts": [count], "perPod": 1, "perDevice": each}


@dataclass(frozen=True)
class Life:
    """What was seen of a Benchmark whose first Attempt was broken."""

    row: Row
    """Of Trial 0, when its reason was first told."""
    told_seconds: float
    """From the deed."""
    benchmark: dict[str, Any]
    """At its end, cleaned up."""
    events: list[Event]
    """Of its pods, in order."""

    def jobs(self) -> list[str]:
        """The jobs of its pods, in the order of their birth."""
        return list(dict.fromkeys(_job(event["object"]) for event in self.events))


@dataclass(frozen=True)
class Stage:
    """The cluster, the image that misbehaves, and what is recorded of all Benchmarks and pods."""

    cluster: Cluster
    image: str
    benchmarks: Watch
    pods: Watch

    def lived(self, name: str, culprit: str, spec: dict[str, Any], limits: dict[str, int], deed: Deed | None) -> Life:
        """Ask, wait until the culprit misbehaves, do the deed if the image does not, and see how all ends."""
        self.ask(name, spec, limits)
        pod, folder = self.held(name, culprit)
        began = time.time() if deed else (folder / HELD).stat().st_mtime
        if deed:
            deed(self.cluster, pod)
        row = self.told(name)
        seconds = time.time() - began
        return Life(row, seconds, self.ended(name), self.pods.of(name))

    def ask(self, name: str, spec: dict[str, Any], limits: dict[str, int]) -> None:
        """Ask a question in a namespace of its own name."""
        whole = {"data": None, "projection": None, "trainer": TRAINER, "image": self.image, **spec}
        apply(self.cluster, question(name, name, **whole, limits={**LIMITS, **limits}))

    def held(self, name: str, culprit: str) -> tuple[Pod, Path]:
        """The culprit's pod once it says that it misbehaves from now on, and its scratch volume on this machine."""

        def found() -> tuple[Pod, Path] | None:
            if row := self._broken(name):
                raise HarnessError(f"{name} ended before it was broken: {row}")
            for event in self.pods.of(name):
                pod = event["object"]
                folder = self.cluster.node.folder_of(pod["metadata"]["uid"], "scratch")
                if pod["metadata"]["name"].endswith(f"-0-1-{culprit}") and (folder / HELD).exists():
                    return pod, folder
            return None

        return until(found, START_SECONDS, f"{name} to misbehave")

    def told(self, name: str) -> Row:
        """The row of Trial 0 once it has a reason."""
        return until(lambda: self._broken(name), END_SECONDS, f"{name} to say why its first attempt ended")

    def ended(self, name: str) -> dict[str, Any]:
        """The Benchmark once all is measured that will be, and cleaned up."""
        wait_for(self.cluster, name, name, "Complete", END_SECONDS)
        return wait_for(self.cluster, name, name, "CleanedUp", 60)

    def _broken(self, name: str) -> Row | None:
        for event in self.benchmarks.of(name):
            for row in event["object"].get("status", {}).get("trials", [])[:1]:
                if row.get("reason"):
                    return dict(row)
        return None


def born_too_early(events: list[Event]) -> list[str]:
    """Pods of one Attempt that were made while a pod of another held a device, from the events of all pods."""
    alive: dict[str, Pod] = {}
    found = []
    for event in events:
        pod = event["object"]
        uid = pod["metadata"]["uid"]
        if event["type"] == "ADDED" and any(_job(other) != _job(pod) for other in alive.values()):
            found.append(pod["metadata"]["name"])
        alive.pop(uid, None)
        if event["type"] != "DELETED" and not terminated(pod):
            alive[uid] = pod
    return found


def _job(pod: Pod) -> str:
    return str(pod["metadata"]["labels"]["training.kubeflow.org/job-name"])
