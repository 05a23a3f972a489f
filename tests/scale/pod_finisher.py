"""Ends the pods of a simulated cluster: a thread annotates each running pod, and kwok ends it.

The annotations hold the exit code and the termination message, and the stage `pod-ends` turns them into the status that
a kubelet would write. A template alone could not do that: a Report names its Attempt and has a checksum.
"""

import contextlib
import json
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from sdbench_trainer.report import BatchTruth, Environment, Report, message
from sdbench_trainer.run import RUN_VARIABLE, RunConfig, division
from testkit.cluster.scripted_pods import steady

EXIT_CODE, MESSAGE = "sdbench.test/exit-code", "sdbench.test/message"
BENCHMARK, TRIAL, ATTEMPT = "sdbench.dev/benchmark", "sdbench.dev/trial", "sdbench.dev/attempt"
STREAM_SECONDS = 5
"""How long one watch lasts; between two watches the thread checks whether it must stop."""


class AttemptId(NamedTuple):
    """An Attempt, identified as in its pods' labels."""

    benchmark: str
    trial: int
    attempt: int = 1

    @property
    def selector(self) -> str:
        return f"{BENCHMARK}={self.benchmark},{TRIAL}={self.trial},{ATTEMPT}={self.attempt}"


@dataclass
class PodFinisher:
    """A context manager: inside, every Attempt in a namespace is measured, except those that are `kept` running.

    `rates` has images per second by device count.
    """

    kubeconfig: Path
    namespace: str
    rates: dict[int, float]
    kept: Collection[AttemptId] = ()
    history: list[tuple[str, str]] = field(default_factory=list)
    """Creations and deletions of pods in order: ADDED or DELETED, and the pod's name."""

    def __enter__(self) -> Self:
        self._core = client.CoreV1Api(config.new_client_from_config(str(self.kubeconfig)))
        self._kept = set(self.kept)
        self._noted: set[tuple[str, str]] = set()
        self._started: dict[AttemptId, set[str]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"pod finisher in {self.namespace}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def finish(self, one: AttemptId) -> None:
        """Ends an Attempt that was kept running."""
        self._kept.discard(one)
        self._finish_unless_kept(one)

    def created(self) -> list[str]:
        """Every pod that was ever seen, in order of appearance."""
        return [name for what, name in self.history if what == "ADDED"]

    def running(self, one: AttemptId) -> list[dict[str, Any]]:
        """The pods of an Attempt that are running."""
        query = {"label_selector": one.selector, "field_selector": "status.phase=Running"}
        found = self._core.list_namespaced_pod(self.namespace, **query, _preload_content=False)
        pods: list[dict[str, Any]] = json.loads(found.data)["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def _watch(self) -> None:
        version = ""
        while not self._over.is_set():
            try:
                version = self._watched(version)
            except (HTTPError, client.ApiException, json.JSONDecodeError):
                version = ""  # a watch may be cut, or its version too old: list again

    def _watched(self, version: str) -> str:
        """Handles pods' changes since a version for some seconds, or all pods without one; returns the last version."""
        query = {"resource_version": version, "watch": True, "timeout_seconds": STREAM_SECONDS}
        stream = self._core.list_namespaced_pod(
            self.namespace, label_selector=BENCHMARK, **(query if version else {}), _preload_content=False
        )
        if not version:
            found = json.loads(stream.data)
            for pod in found["items"]:
                self._on_event("ADDED", pod)
            return str(found["metadata"]["resourceVersion"])
        for line in stream:
            event = json.loads(line)
            self._on_event(event["type"], event["object"])
            version = event["object"]["metadata"]["resourceVersion"]
            if self._over.is_set():
                break
        return version

    def _on_event(self, what: str, pod: dict[str, Any]) -> None:
        if what == "ERROR":
            raise client.ApiException(reason=str(pod))
        metadata = pod["metadata"]
        if what != "MODIFIED" and (what, metadata["uid"]) not in self._noted:
            self._noted.add((what, metadata["uid"]))
            self.history.append((what, metadata["name"]))
        if what != "DELETED" and pod["status"].get("phase") == "Running":
            started = self._started.setdefault(_attempt_id(pod), set())
            if metadata["uid"] not in started:
                started.add(metadata["uid"])
                self._finish_unless_kept(_attempt_id(pod))

    def _finish_unless_kept(self, one: AttemptId) -> None:
        """Ends an Attempt unless it is kept, once all of its pods run, since they need each other."""
        if one in self._kept:
            return
        pods = self.running(one)
        if pods and len(pods) == int(_variables(pods[0])["PET_NNODES"]):
            for pod in pods:
                self._annotate(pod)

    def _annotate(self, pod: dict[str, Any]) -> None:
        annotations = {EXIT_CODE: "0", MESSAGE: self._report(pod) if _index(pod) == 0 else ""}
        body = {"metadata": {"annotations": annotations, "uid": pod["metadata"]["uid"]}}
        with contextlib.suppress(client.ApiException):  # the pod may be deleted
            self._core.patch_namespaced_pod(pod["metadata"]["name"], self.namespace, body, _preload_content=False)

    def _report(self, pod: dict[str, Any]) -> str:
        run = RunConfig.model_validate_json(_variables(pod)[RUN_VARIABLE])
        return message(report(run, self.rates[run.devices]))


def report(run: RunConfig, rate: float) -> Report:
    """The Report of an Attempt on A100s that trains `rate` images per second."""
    batch = division(run.trainer, run.devices)
    return Report(
        attempt=run.attempt,
        measurement=steady(run, rate),
        batch=BatchTruth(
            requested_global_batch_size=batch.asked,
            global_batch_size=batch.run,
            per_device=batch.per_device,
            microbatches=batch.microbatches,
        ),
        environment=Environment(
            config_hash="0",
            device="NVIDIA A100-SXM4-40GB",
            device_count=run.devices,
            versions={"torch": "2.7.0"},
        ),
        seconds_to_first_step=1.0,
    )


def _index(pod: dict[str, Any]) -> int:
    """The pod's index; the master has 0."""
    labels = pod["metadata"]["labels"]
    worker: bool = labels["training.kubeflow.org/replica-type"] == "worker"
    return int(labels["training.kubeflow.org/replica-index"]) + worker


def _attempt_id(pod: dict[str, Any]) -> AttemptId:
    labels = pod["metadata"]["labels"]
    return AttemptId(labels[BENCHMARK], int(labels[TRIAL]), int(labels[ATTEMPT]))


def _variables(pod: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
