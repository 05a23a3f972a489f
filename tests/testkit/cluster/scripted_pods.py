"""Plays the training-operator and the kubelet by a script, in a thread, where there is no node.

For each PyTorchJob it creates the pods that the real training-operator creates (names, labels, owner), lets them run,
and ends them as the script says. It removes a deleted pod, as a kubelet would.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config

from sdbench_trainer.report import Environment, Measurement, Report, StepSeconds, message
from sdbench_trainer.run import RUN_VARIABLE, RunConfig, division

NODE = "played"
BEAT_SECONDS = 0.15
JOBS = ("kubeflow.org", "v1")
PLURAL = "pytorchjobs"


@dataclass(frozen=True)
class End:
    """The end of a pod's training container."""

    code: int
    message: str = ""
    reason: str = "Completed"


Script = Callable[[RunConfig, int], End | None]
"""Maps an Attempt's configuration and a pod's index to the pod's end; None means that it keeps running."""


def measured(run: RunConfig, index: int) -> End:
    """A successful end: 10 images/s for the first device, 8 for each further one."""
    return End(0, message(report(run)) if index == 0 else "")


def report(run: RunConfig) -> Report:
    """A Report that is always the same for the same configuration."""
    return Report(
        attempt=run.attempt,
        measurement=steady(run, 10.0 + 8.0 * (run.devices - 1)),
        environment=Environment(config_hash="0", device="cpu", device_count=run.devices, versions={"torch": "2.7.0"}),
    )


def steady(run: RunConfig, rate: float) -> Measurement:
    """The Measurement of a run that trains `rate` images per second in every step."""
    batch, window = division(run.trainer, run.devices).run, run.trainer.window
    step = batch / rate
    return Measurement(
        batches=window.batches,
        images=window.batches * batch,
        seconds=window.batches * step,
        images_per_second=rate,
        median_images_per_second=rate,
        step_seconds=StepSeconds(p5=step, p50=step, p95=step),
        drift_ratio=0.0,
        rank_skew_ratio=1.0,
        data_wait_ratio_max=0.0,
        data_wait_ratio_mean=0.0,
        host_memory_peak_bytes=1,
        loss=1.0,
    )


@dataclass
class Player:
    """A context manager: inside, a thread plays the jobs of one namespace."""

    kubeconfig: Path
    namespace: str
    script: Script = measured
    makes_pods: bool = True
    jobs: dict[str, str] = field(default_factory=dict)
    """Name → UID of every job that was ever seen."""
    pods: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        api = config.new_client_from_config(str(self.kubeconfig))
        self._core, self._objects = client.CoreV1Api(api), client.CustomObjectsApi(api)
        with contextlib.suppress(client.ApiException):
            self._core.create_node({"metadata": {"name": NODE}})
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name=f"player of {self.namespace}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            # An object may be deleted or changed after it was listed; the next beat handles it.
            with contextlib.suppress(client.ApiException):
                self._beat()

    def _beat(self) -> None:
        jobs = self._objects.list_namespaced_custom_object(*JOBS, self.namespace, PLURAL)["items"]
        pods = self._core.list_namespaced_pod(self.namespace, _preload_content=False)
        by_name = {pod["metadata"]["name"]: pod for pod in json.loads(pods.data)["items"]}
        for job in jobs:
            self.jobs[job["metadata"]["name"]] = job["metadata"]["uid"]
            if self.makes_pods and "deletionTimestamp" not in job["metadata"]:
                self._play_job(job, by_name)
        for pod in by_name.values():
            self._let_go(pod)

    def _play_job(self, job: dict[str, Any], existing: dict[str, Any]) -> None:
        shapes = list(pods_of(job))
        for index, shape in enumerate(shapes):
            pod = existing.get(shape["metadata"]["name"])
            if pod is None:
                if not job_ended(job):
                    self._core.create_namespaced_pod(self.namespace, shape)
            elif "deletionTimestamp" not in pod["metadata"]:
                self.pods[pod["metadata"]["name"]] = pod["metadata"]["uid"]
                self._play_pod(pod, index)
        phases = [existing.get(shape["metadata"]["name"], {}).get("status", {}).get("phase") for shape in shapes]
        if "Failed" in phases:
            self._tell_job(job, "Failed")
        elif phases and phases[0] == "Succeeded":
            self._tell_job(job, "Succeeded")

    def _play_pod(self, pod: dict[str, Any], index: int) -> None:
        phase = pod["status"].get("phase")
        if phase == "Pending":
            self._set(pod, running_status())
        elif phase == "Running":
            end = self.script(run_of(pod), index)
            if end is not None:
                self._set(pod, ended_status(end))

    def _set(self, pod: dict[str, Any], status: dict[str, Any]) -> None:
        self._core.patch_namespaced_pod_status(pod["metadata"]["name"], self.namespace, {"status": status})

    def _tell_job(self, job: dict[str, Any], what: str) -> None:
        if not job_ended(job):
            status = {"status": job_status(what)}
            self._objects.patch_namespaced_custom_object_status(
                *JOBS, self.namespace, PLURAL, job["metadata"]["name"], status
            )

    def _let_go(self, pod: dict[str, Any]) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            self._core.delete_namespaced_pod(pod["metadata"]["name"], self.namespace, grace_period_seconds=0)


def running_status() -> dict[str, Any]:
    """The status of a pod whose container has just started."""
    return _pod_status("Running", {"running": {"startedAt": _now()}})


def ended_status(end: End) -> dict[str, Any]:
    """The status of a pod whose container has just ended."""
    ended = {"exitCode": end.code, "reason": end.reason, "message": end.message}
    times = {"startedAt": _now(), "finishedAt": _now()}
    return _pod_status("Failed" if end.code else "Succeeded", {"terminated": ended | times})


def _pod_status(phase: str, state: dict[str, Any]) -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()}
    image = {"image": "played", "imageID": "played@sha256:1", "ready": False, "restartCount": 0}
    container = {"name": "pytorch", "state": state, **image}
    return {"phase": phase, "conditions": [scheduled], "containerStatuses": [container]}


def job_status(what: str) -> dict[str, Any]:
    """The status of a job that is Succeeded or Failed."""
    condition = {"type": what, "status": "True", "lastTransitionTime": _now(), "reason": "Played"}
    return {"conditions": [condition], "replicaStatuses": {}}


def pods_of(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods that the real training-operator creates for a job, bound to a node as by the scheduler."""
    name = job["metadata"]["name"]
    for role, replica in sorted(job["spec"]["pytorchReplicaSpecs"].items()):
        for number in range(replica["replicas"]):
            training = {
                "training.kubeflow.org/job-name": name,
                "training.kubeflow.org/replica-type": role.lower(),
                "training.kubeflow.org/replica-index": str(number),
            }
            template = replica["template"]
            yield {
                "metadata": {
                    "name": f"{name}-{role.lower()}-{number}",
                    "labels": template["metadata"].get("labels", {}) | training,
                    "ownerReferences": [_owner(job)],
                },
                "spec": template["spec"] | {"nodeName": NODE, "restartPolicy": replica["restartPolicy"]},
            }


def _owner(job: dict[str, Any]) -> dict[str, Any]:
    identity = {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "controller": True, **identity}


def run_of(pod: dict[str, Any]) -> RunConfig:
    variables = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
    return RunConfig.model_validate_json(variables[RUN_VARIABLE])


def job_ended(job: dict[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one["type"] in ("Succeeded", "Failed") and one["status"] == "True" for one in conditions)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
