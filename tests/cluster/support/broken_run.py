"""Follows a Benchmark whose first Attempt is broken, from its creation to its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.support.object_history import Watch
from cluster.support.user import apply, example_benchmark, terminated, wait_for
from harness.cluster import Cluster
from harness.failure import HarnessError
from harness.polling import until

START_SECONDS, END_SECONDS = 300, 300
"""The longest times until an Attempt holds, and until the next is measured, on a busy machine."""

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
"""The file in a pod's scratch volume that misbehaviour.py creates before it misbehaves."""

Pod = dict[str, Any]
Row = dict[str, Any]
Event = dict[str, Any]
Breakage = Callable[[Cluster, Pod], None]


def few_devices(count: int) -> dict[str, Any]:
    """Devices for `count` pods of one device each, with small requests, since the pods mostly wait."""
    each = {"cpu": "100m", "memory": "1500Mi", "sharedMemory": "64Mi"}
    return {"counts": [count], "perPod": 1, "perDevice": each}


@dataclass(frozen=True)
class BrokenRun:
    """What was observed of a Benchmark whose first Attempt was broken."""

    row: Row
    """The row of Trial 0 when it first had a reason."""
    reported_seconds: float
    """Seconds from the break to the reason."""
    benchmark: dict[str, Any]
    """The Benchmark at its end, cleaned up."""
    events: list[Event]
    """Watch events of its pods, in order."""

    def jobs(self) -> list[str]:
        """The names of the pods' jobs, in order of creation."""
        return list(dict.fromkeys(_job(event["object"]) for event in self.events))


@dataclass(frozen=True)
class RunBreaker:
    """The cluster, the misbehaving image, and the recorded events of all Benchmarks and pods."""

    cluster: Cluster
    image: str
    benchmarks: Watch
    pods: Watch

    def break_and_follow(
        self, name: str, blamed: str, spec: dict[str, Any], limits: dict[str, int], breakage: Breakage | None
    ) -> BrokenRun:
        """Creates a Benchmark, waits until its pod holds, breaks it unless the image does, and waits for the end."""
        self.create(name, spec, limits)
        pod, folder = self.wait_until_held(name, blamed)
        began = time.time() if breakage else (folder / HELD).stat().st_mtime
        if breakage:
            breakage(self.cluster, pod)
        row = self.wait_for_reason(name)
        seconds = time.time() - began
        return BrokenRun(row, seconds, self.wait_for_end(name), self.pods.of(name))

    def create(self, name: str, spec: dict[str, Any], limits: dict[str, int]) -> None:
        """Creates a Benchmark in the namespace of the same name."""
        whole = {"data": None, "projection": None, "trainer": TRAINER, "image": self.image, **spec}
        apply(self.cluster, example_benchmark(name, name, **whole, limits={**LIMITS, **limits}))

    def wait_until_held(self, name: str, blamed: str) -> tuple[Pod, Path]:
        """Waits until the blamed pod starts to misbehave; returns it and its scratch volume on this machine."""

        def found() -> tuple[Pod, Path] | None:
            if row := self._broken(name):
                raise HarnessError(f"{name} ended before it was broken: {row}")
            for event in self.pods.of(name):
                pod = event["object"]
                folder = self.cluster.node.folder_of(pod["metadata"]["uid"], "scratch")
                if pod["metadata"]["name"].endswith(f"-0-1-{blamed}") and (folder / HELD).exists():
                    return pod, folder
            return None

        return until(found, START_SECONDS, f"{name} to misbehave")

    def wait_for_reason(self, name: str) -> Row:
        """Waits until Trial 0 has a reason; returns its row."""
        return until(lambda: self._broken(name), END_SECONDS, f"{name} to report why its first attempt ended")

    def wait_for_end(self, name: str) -> dict[str, Any]:
        """Waits until the Benchmark is complete and cleaned up; returns it."""
        wait_for(self.cluster, name, name, "Complete", END_SECONDS)
        return wait_for(self.cluster, name, name, "CleanedUp", 60)

    def _broken(self, name: str) -> Row | None:
        for event in self.benchmarks.of(name):
            for row in event["object"].get("status", {}).get("trials", [])[:1]:
                if row.get("reason"):
                    return dict(row)
        return None


def created_too_early(events: list[Event]) -> list[str]:
    """Names of pods that were created while a pod of another Attempt held a device, from all pods' events."""
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
