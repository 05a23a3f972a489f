"""Plays the training-operator and the kubelet for many namespaces at once, in asyncio tasks.

It does the same as scripted_pods.py, but is driven by an object log's events: it creates the pods of each job, and runs
and ends them by the namespace's script. It removes a deleted pod at once, as if the container ended on SIGTERM.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from testkit.cluster.object_log import ObjectLog, unavailability
from testkit.cluster.scripted_pods import (
    NODE,
    Script,
    ended_status,
    job_ended,
    job_status,
    pods_of,
    run_of,
    running_status,
)
from testkit.server.direct import JOBS, PODS, Api, Document, Refused, place

BEAT_SECONDS = 0.1
"""The duration of each step in a pod's life."""

ALREADY_THERE = 409
LEASE = "apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
RENEWAL_SECONDS = 10


@dataclass
class FakeKubelet:
    """Plays every job in the namespaces that have a script."""

    api: Api
    objects: ObjectLog
    scripts: dict[str, Script] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Tasks by the UID of the job or pod."""

    def on_change(self, plural: str, one: Document) -> None:
        """Reacts to a new or changed object."""
        metadata = one["metadata"]
        if metadata["namespace"] not in self.scripts:
            return
        uid, going = metadata["uid"], "deletionTimestamp" in metadata
        if plural == PODS[1] and going:
            self._start(f"{uid} ends", self._finish_deletion(one))
        elif plural == PODS[1] and not going:
            self._start(uid, self._run(one))
        elif plural == JOBS[1] and not going and not job_ended(one):
            self._start(uid, self._make_pods(one))

    def _start(self, key: str, task: Coroutine[Any, Any, None]) -> None:
        if key in self._tasks:
            task.close()
        else:
            self._tasks[key] = asyncio.create_task(_ignoring_deletion(task))

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        ends = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        bugs = [end for end in ends if isinstance(end, Exception)]
        assert not bugs, bugs

    async def _make_pods(self, job: Document) -> None:
        for shape in pods_of(job):
            await self._send("POST", place(PODS, job["metadata"]["namespace"]), shape)

    async def _run(self, pod: Document) -> None:
        metadata = pod["metadata"]
        script, run = self.scripts[metadata["namespace"]], run_of(pod)
        index = index_of(pod)
        await asyncio.sleep(BEAT_SECONDS)
        await self._patch_status(PODS, pod, running_status())
        await asyncio.sleep(BEAT_SECONDS)
        while (end := script(run, index)) is None:
            if metadata["uid"] not in self.objects.objects[PODS[1]]:
                return
            await asyncio.sleep(BEAT_SECONDS)
        await self._patch_status(PODS, pod, ended_status(end))
        job = self.objects.objects[JOBS[1]].get(metadata["ownerReferences"][0]["uid"])
        if job is not None and not job_ended(job) and (end.code != 0 or index == 0):
            await self._patch_status(JOBS, job, job_status("Failed" if end.code else "Succeeded"))

    async def _patch_status(self, resource: tuple[str, str], one: Document, status: Document) -> None:
        metadata = one["metadata"]
        path = f"{place(resource, metadata['namespace'], metadata['name'])}/status"
        # The UID keeps the patch from hitting another object of the same name.
        await self._send("PATCH", path, {"metadata": {"uid": metadata["uid"]}, "status": status})

    async def _finish_deletion(self, pod: Document) -> None:
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self._send("DELETE", place(PODS, metadata["namespace"], metadata["name"]), options)

    async def _send(self, method: str, path: str, body: Document) -> None:
        """Sends a request until the API server is available; it may have done the request before it went down."""
        for tries in itertools.count():
            with unavailability():
                try:
                    await self.api.send(method, path, body)
                except Refused as refusal:
                    if not (tries and refusal.code == ALREADY_THERE):
                        raise
                return
            await asyncio.sleep(BEAT_SECONDS)


def index_of(pod: Document) -> int:
    """A pod's index: 0 for the master, n for worker n-1."""
    labels = pod["metadata"]["labels"]
    number = int(labels["training.kubeflow.org/replica-index"])
    return number if labels["training.kubeflow.org/replica-type"] == "master" else number + 1


async def _ignoring_deletion(task: Coroutine[Any, Any, None]) -> None:
    """Runs a task, and ignores refusals because its object or namespace was deleted."""
    try:
        await task
    except Refused as refusal:
        if refusal.code not in (403, 404, 409):
            raise


@contextlib.asynccontextmanager
async def fake_kubelet(api: Api, objects: ObjectLog) -> AsyncIterator[FakeKubelet]:
    """Plays the jobs of all namespaces that have a script."""
    kubelet = FakeKubelet(api, objects)
    node = asyncio.create_task(_keep_node(api))
    objects.listeners.append(kubelet.on_change)
    try:
        yield kubelet
    finally:
        node.cancel()
        objects.listeners.remove(kubelet.on_change)
        await kubelet.close()


async def _keep_node(api: Api) -> None:
    """Keeps a node Ready: the controllers evict the pods of one without heartbeats."""
    lease = {"metadata": {"name": NODE}, "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40}}
    for path, document in (("api/v1/nodes", {"metadata": {"name": NODE}}), (LEASE, lease)):
        with contextlib.suppress(Refused):
            await api.send("POST", path, document)
    while True:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ready = {"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": now[:19] + "Z"}
        with unavailability():
            await api.send("PATCH", f"{LEASE}/{NODE}", {"spec": {"renewTime": now}})
            await api.send("PATCH", f"api/v1/nodes/{NODE}/status", {"status": {"conditions": [ready]}})
        await asyncio.sleep(RENEWAL_SECONDS)
