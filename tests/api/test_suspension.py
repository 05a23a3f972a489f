"""What is a job whose suspension changes just while it is looked at: between the readings of jobs and of pods?

The pass is the operator's own, against the real API server; only the moment is arranged: what Kueue and the
training-operator do happens right after the jobs were listed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from api.operating import IMAGE, apply, read
from api.played import pods_of
from api.questions import Asked
from cluster.harness.control_plane import ControlPlane
from sdbench.api.status import Reason, TrialPhase, TrialRow
from sdbench.controller.cluster import Cluster, Key
from sdbench.controller.errors import NotFound, Unavailable
from sdbench.controller.reconcile import reconcile
from sdbench.controller.transport import Document, Transport
from sdbench.core.world import Defaults

pytest_plugins = ["api.places"]

TWO_PODS = {"counts": [2], "perPod": 1}


class Interrupted(Cluster):
    """A cluster in which something happens between a listing of jobs and the listing of their pods."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.meanwhile: Callable[[], None] = lambda: None

    async def jobs(self, key: Key) -> tuple[Document, ...]:
        found = await super().jobs(key)
        self.meanwhile()
        return found


@asynccontextmanager
async def cluster_of(kubeconfig: Path) -> AsyncIterator[Interrupted]:
    configuration = Configuration()
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield Interrupted(Transport(client, lambda *_: None))


@dataclass(frozen=True)
class Neighbours:
    """Kueue and the training-operator, at the very moment."""

    plane: ControlPlane
    namespace: str

    @property
    def job(self) -> dict[str, Any]:
        (found,) = read(self.plane, self.namespace, "pytorchjobs")["items"]
        return dict(found)

    def suspend(self, held: bool) -> None:
        patch = json.dumps({"spec": {"runPolicy": {"suspend": held}}})
        name = self.job["metadata"]["name"]
        self.plane.kubectl("patch", "pytorchjob", name, "-n", self.namespace, "--type=merge", "-p", patch)

    def make_pods(self) -> None:
        """Both pods, bound to a node and running."""
        job, now = self.job, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for shape in pods_of(job):
            apply(self.plane, {"apiVersion": "v1", "kind": "Pod", **shape}, "-n", self.namespace)
            container = {"name": "pytorch", "state": {"running": {"startedAt": now}}, "image": "i", "imageID": "i"}
            status = {
                "phase": "Running",
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now}],
                "containerStatuses": [{**container, "ready": True, "restartCount": 0}],
            }
            name, patch = shape["metadata"]["name"], json.dumps({"status": status})
            self.plane.kubectl(
                "patch", "pod", name, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch
            )

    def delete_pods(self) -> None:
        """They stay for their grace: nobody is there to confirm that they ended."""
        self.plane.kubectl("delete", "pods", "--all", "-n", self.namespace, "--wait=false")

    def take_away(self) -> None:
        self.suspend(True)
        self.delete_pods()

    def let_go(self) -> None:
        self.suspend(False)
        self.make_pods()


async def served(cluster: Cluster, key: Key) -> None:
    """Wait until PyTorchJobs, whose definition may be new, can be listed."""
    async with asyncio.timeout(60):
        while True:
            try:
                await cluster.jobs(key)
            except (Unavailable, NotFound):
                await asyncio.sleep(0.2)
            else:
                return


async def row_after(cluster: Cluster, namespace: str) -> TrialRow:
    """The Trial's row after one pass."""
    found = await reconcile(cluster, Defaults(IMAGE, "0"), Key(namespace, "tiny"))
    assert found.benchmark is not None
    return found.benchmark.status.trials[0]


def passes(
    plane: ControlPlane, namespace: str, kubeconfig: Path, *meanwhile: Callable[[Neighbours], None]
) -> list[TrialRow]:
    """The row after each pass, in the middle of which that happens; the first pass makes the job."""
    neighbours = Neighbours(plane, namespace)

    async def made() -> list[TrialRow]:
        async with cluster_of(kubeconfig) as cluster:
            await served(cluster, Key(namespace, "tiny"))
            rows = [await row_after(cluster, namespace)]
            for happens in meanwhile:
                cluster.meanwhile = lambda happens=happens: happens(neighbours)  # type: ignore[misc]
                rows.append(await row_after(cluster, namespace))
            return rows

    return asyncio.run(made())


def nothing(_: Neighbours) -> None:
    return None


def held(neighbours: Neighbours) -> None:
    neighbours.suspend(True)


def test_a_suspension_between_the_readings_is_a_preemption_and_no_failure(
    plane: ControlPlane, namespace: str, kubeconfig: Path, asked: Asked
) -> None:
    asked(devices=TWO_PODS)
    *_, seen, after = passes(plane, namespace, kubeconfig, Neighbours.make_pods, Neighbours.take_away)
    assert (seen.phase, seen.pods_checksum is not None) == (TrialPhase.RUNNING, True)
    assert (after.phase, after.reason, after.failures) == (TrialPhase.STOPPING, Reason.PREEMPTED, 0)


def test_an_admission_between_the_readings_is_none(
    plane: ControlPlane, namespace: str, kubeconfig: Path, asked: Asked
) -> None:
    asked(devices=TWO_PODS)
    _, _, waits, begun, runs = passes(plane, namespace, kubeconfig, held, nothing, Neighbours.let_go, nothing)
    assert "Waits for admission" in waits.message
    assert (begun.phase, runs.phase, runs.message) == (TrialPhase.RUNNING, TrialPhase.RUNNING, "")


def test_a_pod_that_somebody_deletes_is_a_failure(
    plane: ControlPlane, namespace: str, kubeconfig: Path, asked: Asked
) -> None:
    asked(devices=TWO_PODS)
    *_, after = passes(plane, namespace, kubeconfig, Neighbours.make_pods, Neighbours.delete_pods)
    assert (after.reason, after.failures) == (Reason.INTERRUPTED, 1)
    assert "was deleted" in after.message
