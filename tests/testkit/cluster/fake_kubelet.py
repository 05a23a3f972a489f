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

from testkit.cluster.object_log import Witness, unavailability
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
class Company:
    """Plays every job in the namespaces that have a script."""

    api: Api
    witness: Witness
    scripts: dict[str, Script] = field(default_factory=dict)
    _lives: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Tasks by the UID of the job or pod."""

    def noticed(self, plural: str, one: Document) -> None:
        """Reacts to a new or changed object."""
        metadata = one["metadata"]
        if metadata["namespace"] not in self.scripts:
            return
        uid, going = metadata["uid"], "deletionTimestamp" in metadata
        if plural == PODS[1] and going:
            self._live(f"{uid} ends", self._let_go(one))
        elif plural == PODS[1] and not going:
            self._live(uid, self._run(one))
        elif plural == JOBS[1] and not going and not job_ended(one):
            self._live(uid, self._make_pods(one))

    def _live(self, who: str, life: Coroutine[Any, Any, None]) -> None:
        if who in self._lives:
            life.close()
        else:
            self._lives[who] = asyncio.create_task(_though_it_may_go(life))

    async def close(self) -> None:
        for life in self._lives.values():
            life.cancel()
        ends = await asyncio.gather(*self._lives.values(), return_exceptions=True)
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
        await self._tell(PODS, pod, running_status())
        await asyncio.sleep(BEAT_SECONDS)
        while (end := script(run, index)) is None:
            if metadata["uid"] not in self.witness.objects[PODS[1]]:
                return
            await asyncio.sleep(BEAT_SECONDS)
        await self._tell(PODS, pod, ended_status(end))
        job = self.witness.objects[JOBS[1]].get(metadata["ownerReferences"][0]["uid"])
        if job is not None and not job_ended(job) and (end.code != 0 or index == 0):
            await self._tell(JOBS, job, job_status("Failed" if end.code else "Succeeded"))

    async def _tell(self, resource: tuple[str, str], one: Document, status: Document) -> None:
        metadata = one["metadata"]
        path = f"{place(resource, metadata['namespace'], metadata['name'])}/status"
        # The UID keeps the patch from hitting another object of the same name.
        await self._send("PATCH", path, {"metadata": {"uid": metadata["uid"]}, "status": status})

    async def _let_go(self, pod: Document) -> None:
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


async def _though_it_may_go(life: Coroutine[Any, Any, None]) -> None:
    """Runs a task, and ignores refusals because its object or namespace was deleted."""
    try:
        await life
    except Refused as refusal:
        if refusal.code not in (403, 404, 409):
            raise


@contextlib.asynccontextmanager
async def acting(api: Api, witness: Witness) -> AsyncIterator[Company]:
    """Plays the jobs of all namespaces that have a script."""
    company = Company(api, witness)
    node = asyncio.create_task(_keep_node(api))
    witness.listeners.append(company.noticed)
    try:
        yield company
    finally:
        node.cancel()
        witness.listeners.remove(company.noticed)
        await company.close()


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
