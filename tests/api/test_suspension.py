"""Tests a job whose suspension changes after a pass has read the jobs and before it reads the pods.

The tests act as Kueue and the training-operator right after the jobs were listed.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.control_plane.components import ControlPlane
from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from testkit.cluster.scripted_pods import pods_of
from testkit.operators.operator_process import apply, read
from testkit.operators.single_pass import interruptible_cluster, row_after
from testkit.server.examples import CreateBenchmark

pytest_plugins = ["testkit.server.fixtures"]

TWO_PODS = {"counts": [2], "perPod": 1}


@dataclass(frozen=True)
class Others:
    """The actions of Kueue and the training-operator."""

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
        """Creates both pods, bound to a node and running."""
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
        """Deletes both pods. They stay for their grace period, because no kubelet confirms that they ended."""
        self.plane.kubectl("delete", "pods", "--all", "-n", self.namespace, "--wait=false")

    def take_away(self) -> None:
        self.suspend(True)
        self.delete_pods()

    def let_go(self) -> None:
        self.suspend(False)
        self.make_pods()


def passes(
    plane: ControlPlane, namespace: str, kubeconfig: Path, *meanwhile: Callable[[Others], None]
) -> list[TrialRow]:
    """The row after each pass. The first pass creates the job; each action happens in the middle of a further one."""
    others = Others(plane, namespace)

    async def made() -> list[TrialRow]:
        async with interruptible_cluster(kubeconfig, namespace) as cluster:
            rows = [await row_after(cluster, namespace)]
            for happens in meanwhile:
                cluster.meanwhile = lambda happens=happens: happens(others)  # type: ignore[misc]
                rows.append(await row_after(cluster, namespace))
            return rows

    return asyncio.run(made())


def nothing(_: Others) -> None:
    return None


def held(others: Others) -> None:
    others.suspend(True)


def test_a_suspension_between_the_readings_is_a_preemption_and_no_failure(
    plane: ControlPlane, namespace: str, kubeconfig: Path, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark(devices=TWO_PODS)
    *_, seen, after = passes(plane, namespace, kubeconfig, Others.make_pods, Others.take_away)
    assert (seen.phase, seen.pods_checksum is not None) == (TrialPhase.RUNNING, True)
    assert (after.phase, after.reason, after.failures) == (TrialPhase.STOPPING, Reason.PREEMPTED, 0)


def test_an_admission_between_the_readings_is_no_preemption(
    plane: ControlPlane, namespace: str, kubeconfig: Path, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark(devices=TWO_PODS)
    _, _, waits, begun, runs = passes(plane, namespace, kubeconfig, held, nothing, Others.let_go, nothing)
    assert "Waits for admission" in waits.message
    assert (begun.phase, runs.phase, runs.message) == (TrialPhase.RUNNING, TrialPhase.RUNNING, "")


def test_a_pod_that_somebody_else_deletes_is_a_failure(
    plane: ControlPlane, namespace: str, kubeconfig: Path, create_benchmark: CreateBenchmark
) -> None:
    create_benchmark(devices=TWO_PODS)
    *_, after = passes(plane, namespace, kubeconfig, Others.make_pods, Others.delete_pods)
    assert (after.reason, after.failures) == (Reason.INTERRUPTED, 1)
    assert "was deleted" in after.message
