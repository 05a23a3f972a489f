"""Tests that raw jobs, pods and Events lead to every reason that a cluster can cause.

Each reason has a situation as the API server shows it, which `observe` reads and `diagnose` judges. The few reasons
that no Attempt gets by itself are listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.controller.apiserver.client import Document
from sdbench.controller.observe import attempts
from sdbench.core.attempt.diagnose import Diagnosis, diagnose
from sdbench.core.attempt.facts import pods_checksum
from sdbench.core.plan.grid import plan
from sdbench.core.snapshot import AttemptState
from sdbench_trainer.report import Report, ReportError, message
from unit.controller.shapes import CREATED, benchmark, container, job, pod
from unit.core.worlds import report

BIRTH = datetime.fromisoformat(CREATED)
LONG_AGO = "2020-01-01T00:00:00Z"
STARTED = "2026-01-01T00:00:09Z"
NAME = "tiny-40d0b-0-1"
IMAGE = "registry.example/trainer:1"
ASKED = benchmark(
    devices={"counts": [2], "perPod": 1}, data={"remote": "s3://bucket/shards", "credentialsSecret": "s3"}
)
TRIAL = plan(ASKED.spec)[0]
WINDOW = TRIAL.point.config.window.batches
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": CREATED}
RUNS = {"running": {"startedAt": STARTED}}

NOT_OF_AN_ATTEMPT = {
    Reason.BACKEND_UNAVAILABLE: "of a Benchmark: tests/unit/core/status/test_backend.py",
    Reason.BUDGET_EXCEEDED: "by a limit of the Benchmark",
    Reason.SUSPENDED: "by a person",
    Reason.CANCELLED: "by a person",
    Reason.SKIPPED: "after another Trial",
    Reason.CONVERGED: "after other Trials",
}


def here(index: int, state: Document | None = None, phase: str = "Running", **status: Any) -> Document:
    """A scheduled pod whose training container is in this state; by default it runs."""
    status = {"conditions": [SCHEDULED], "containerStatuses": [container(state or RUNS)], **status}
    return pod(index, phase, **status)


def ended(code: int, said: str = "", reason: str = "", **more: Any) -> Document:
    """The state of a container that has ended."""
    why = reason or ("Error" if code else "Completed")
    return {"terminated": {"exitCode": code, "reason": why, "message": said, "startedAt": STARTED, **more}}


def failed(index: int, code: int, said: str = "it broke", reason: str = "") -> Document:
    """A pod that PID 1 ended with this code and a Report of what happened."""
    error = ReportError(code=code, rank=index, where="training", tail=said)
    return here(index, ended(code, message(Report(attempt=NAME, error=error)), reason), "Failed")


def well(index: int, **status: Any) -> Document:
    """A pod that succeeded; that of rank 0 has written a Report."""
    left = report(NAME, batch=ASKED.spec.trainer.global_batch_size, batches=WINDOW)
    return here(index, ended(0, message(left) if index == 0 else ""), "Succeeded", **status)


def disrupted(index: int, by: str, said: str = "", phase: str = "Running", **status: Any) -> Document:
    target = {"type": "DisruptionTarget", "status": "True", "reason": by, "message": said}
    return here(index, phase=phase, conditions=[SCHEDULED, target], **status)


def unscheduled(index: int, said: str) -> Document:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    document = pod(index, "Pending", conditions=[condition])
    document["spec"] = {}
    return document


def waiting(index: int, reason: str, said: str = "") -> Document:
    return here(index, {"waiting": {"reason": reason, "message": said}}, "Pending")


def deleting(document: Document) -> Document:
    document["metadata"]["deletionTimestamp"] = STARTED
    return document


def suspended(queue: str = "", **status: Any) -> Document:
    """A suspended job; Kueue's label names the queue."""
    document = job(workers=1, **status)
    document["spec"]["runPolicy"] = {"suspend": True}
    if queue:
        document["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = queue
    return document


def event(about: str, reason: str, said: str) -> Document:
    return {"involvedObject": {"name": about}, "reason": reason, "message": said}


@dataclass(frozen=True)
class Situation:
    """What the API server shows of one Attempt."""

    named: str
    """Text that the message must contain."""
    pods: tuple[Document, ...] = ()
    job: Document | None = field(default_factory=lambda: job(workers=1))
    events: tuple[Document, ...] = ()
    seconds: float = 60
    """Age of the job."""
    seen: bool = False
    """Whether all pods were seen running before."""
    since: float | None = None
    """Seconds since creation at which a first sign of its end was seen."""


SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
SHUTDOWN = {"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."}
PRESSURE = {"reason": "Evicted", "message": "The node was low on resource: memory."}
NO_SECRET = 'MountVolume.SetUp failed for volume "credentials" : secret "s3" not found'
NO_BUNDLE = 'MountVolume.SetUp failed for volume "ca-bundle" : configmap "site-ca" not found'
NO_ACCOUNT = 'pods "x" is forbidden: error looking up service account lab/trainer: serviceaccount "trainer" not found'
FAILED = {"type": "Failed", "status": "True", "message": "PyTorchJob is failing because 1 Worker replica(s) failed."}
ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
PREEMPTION = "default-scheduler: preempting to accommodate a higher priority pod"

SITUATIONS: dict[Reason, tuple[Situation, ...]] = {
    Reason.MEASURED: (Situation("", (well(0), well(1))),),
    Reason.CONFIG_INVALID: (
        Situation(f"{NAME}-master-0", (failed(0, 64), here(1))),
        Situation("will run as root", (waiting(0, "CreateContainerConfigError", "image will run as root"), here(1))),
    ),
    Reason.DATA_MISSING: (
        Situation("s3://bucket/shards", (here(0), failed(1, 65, "Bucket bucket does not exist"))),
        Situation("The claim shards", (unscheduled(0, 'persistentvolumeclaim "shards" not found'), unscheduled(1, ""))),
    ),
    Reason.SECRET_MISSING: (
        Situation(
            "The Secret s3 does not exist",
            (waiting(0, "ContainerCreating"), here(1)),
            events=(event(f"{NAME}-master-0", "FailedMount", NO_SECRET),),
        ),
        Situation(
            "CA bundle cannot be mounted: its ConfigMap site-ca does not exist",
            (here(0), waiting(1, "ContainerCreating")),
            events=(event(f"{NAME}-worker-0", "FailedMount", NO_BUNDLE),),
        ),
        Situation("Secret s3", (waiting(0, "CreateContainerConfigError", 'secret "s3" not found'), here(1))),
    ),
    Reason.IMAGE_PULL: (
        Situation(IMAGE, (waiting(0, "InvalidImageName"), here(1))),
        Situation("no such tag", (waiting(0, "ImagePullBackOff", "no such tag"), here(1)), seconds=1_800),
    ),
    Reason.PODS_FORBIDDEN: (
        Situation("runAsNonRoot", events=(event(NAME, "FailedCreatePod", SECURITY),)),
        Situation("The ServiceAccount trainer", events=(event(NAME, "FailedCreatePod", NO_ACCOUNT),)),
    ),
    Reason.UNSCHEDULABLE: (
        Situation("Insufficient nvidia.com/gpu", (unscheduled(0, ROOM), unscheduled(1, ROOM)), seconds=86_400),
        Situation("limits.gangSeconds", (here(0), unscheduled(1, ROOM)), seconds=300),
        Situation(ROOM, (failed(0, 66), unscheduled(1, ROOM))),
    ),
    Reason.NOT_ADMITTED: (Situation("queue lab", job=suspended("lab"), seconds=86_400),),
    Reason.RENDEZVOUS_TIMEOUT: (
        Situation("limits.rendezvousSeconds", (failed(0, 66), here(1))),
        Situation(
            f"{NAME}-worker-0",
            (
                here(0),
                pod(
                    1,
                    "Failed",
                    conditions=[SCHEDULED],
                    initContainerStatuses=[container(ended(1), "init-pytorch")],
                    containerStatuses=[container({"waiting": {"reason": "PodInitializing"}})],
                ),
            ),
            since=30,
        ),
    ),
    Reason.OUT_OF_MEMORY_DEVICE: (Situation(f"{NAME}-worker-0, rank 1", (failed(0, 69), failed(1, 67))),),
    Reason.OUT_OF_MEMORY_HOST: (
        Situation("devices.perDevice.memory", (here(0), failed(1, 69, reason="OOMKilled"))),
        Situation(f"{NAME}-worker-0", (failed(0, 69), here(1, ended(137, reason="OOMKilled"), "Failed"))),
    ),
    Reason.LOSS_NOT_FINITE: (Situation("learningRate", (failed(0, 68), failed(1, 69))),),
    Reason.PEER_LOST: (Situation(f"{NAME}-master-0", (failed(0, 69), failed(1, 69))),),
    Reason.COLLECTIVE_ERROR: (Situation(f"{NAME}-worker-0", (failed(0, 69), failed(1, 73))),),
    Reason.MIXED_IMAGES: (
        Situation(
            "sha256:1 / sha256:2",
            (well(0), well(1, containerStatuses=[{**container(ended(0)), "imageID": "mirror.example/t@sha256:2"}])),
        ),
    ),
    Reason.MIXED_DEVICES: (Situation("scheduling.nodeSelector", (failed(0, 74), failed(1, 74))),),
    Reason.CRASHED: (
        Situation(
            "ModuleNotFoundError: torch", (here(0, ended(1, "…\nModuleNotFoundError: torch"), "Failed"), well(1))
        ),
        Situation("it broke", (failed(0, 70), here(1)), since=45),
    ),
    Reason.STALLED: (
        Situation(
            "while training: No step after step 7 for 60 s.",
            (failed(0, 71, "No step after step 7 for 60 s."), failed(1, 143)),
        ),
        Situation(
            f"{NAME}-worker-0 runs on",
            (here(0, ended(0, finishedAt=LONG_AGO), "Succeeded"), here(1)),
            since=30,
            seconds=690,
        ),
    ),
    Reason.SHARED_MEMORY_FULL: (Situation("devices.perDevice.sharedMemory", (failed(0, 69), failed(1, 72))),),
    Reason.DEADLINE_EXCEEDED: (
        Situation("limits.queuedSeconds", (pod(0, "Pending"),), seconds=86_400),
        Situation("limits.startSeconds", (waiting(0, "ContainerCreating"), here(1)), seconds=1_800),
        Situation("limits.totalSeconds", (here(0), here(1)), seconds=86_409, seen=True),
    ),
    Reason.INTERRUPTED: (
        Situation("signal 9", (failed(0, 137), failed(1, 143))),
        Situation(f"{NAME}-worker-0 was deleted", (here(0), deleting(here(1))), seen=True),
        Situation(f"{NAME}-worker-0 among them", (here(0),), seen=True),
        Situation("OutOfcpu", (here(0), pod(1, "Failed", reason="OutOfcpu", message="Node didn't have enough cpu"))),
    ),
    Reason.PREEMPTED: (
        Situation(PREEMPTION, (here(0), deleting(disrupted(1, "PreemptionByScheduler", PREEMPTION)))),
        Situation("queue lab", (deleting(failed(0, 143)), deleting(here(1))), suspended("lab"), seen=True),
        Situation("spec.runPolicy.suspend", (), suspended(), seen=True),
        Situation("critical", (here(0), pod(1, "Failed", reason="Preempting", message="for a critical pod"))),
    ),
    Reason.EVICTED: (
        Situation("EvictionByEvictionAPI", (here(0), deleting(disrupted(1, "EvictionByEvictionAPI", "Eviction API")))),
        Situation("low on resource", (here(0), disrupted(1, "TerminationByKubelet", phase="Failed", **PRESSURE))),
    ),
    Reason.NODE_LOST: (
        Situation("node-1", (here(0), deleting(disrupted(1, "DeletionByTaintManager", "Taint manager")))),
        Situation("DeletionByPodGC", (here(0), disrupted(1, "DeletionByPodGC", "PodGC: node no longer exists"))),
        Situation("node shutdown", (here(0), disrupted(1, "TerminationByKubelet", phase="Failed", **SHUTDOWN))),
        Situation("ContainerStatusUnknown", (failed(0, 69), here(1, ended(137, reason="ContainerStatusUnknown")))),
        Situation("(Unknown)", (here(0), here(1, ended(255, reason="Unknown"), "Failed"))),
        Situation("its end is not known", (here(0), pod(1, "Failed", conditions=[SCHEDULED]))),
    ),
    Reason.JOB_DELETED: (Situation(NAME, (here(0), here(1)), job=None, seen=True),),
    Reason.REPORT_LOST: (Situation(f"{NAME}-master-0", (here(0, ended(0, "cut"), "Succeeded"), well(1))),),
    Reason.NAME_CONFLICT: (Situation(NAME, job={**job(), "metadata": {**job()["metadata"], "ownerReferences": []}}),),
    Reason.UNKNOWN: (Situation("1 Worker replica(s) failed", (), job(workers=1, conditions=[FAILED]), since=30),),
}
CASES = [(reason, one) for reason, situations in SITUATIONS.items() for one in situations]


def states(one: Situation, pods: tuple[Document, ...]) -> Iterator[AttemptState]:
    expecting = TrialRow(**base(), phase=TrialPhase.STARTING)
    asked = ASKED.model_copy(update={"status": ASKED.status.model_copy(update={"trials": (expecting,)})})
    yield from attempts.attempts(asked, [one.job] if one.job is not None else [], pods)


def base() -> dict[str, Any]:
    return {"trial": 0, "point": "devices=2", "devices": 2, "repeat": 0, "attempt": 1, "job": NAME}


def row(one: Situation) -> TrialRow:
    """The live row, as earlier passes left it."""
    live: dict[str, Any] = {**base(), "phase": TrialPhase.RUNNING, "job_uid": "job-0-1"}
    if one.seen:
        (before,) = states(replace(one, job=job(workers=1)), (here(0), here(1)))
        live |= {"pods_checksum": pods_checksum(before), "scheduled_at": BIRTH}
    if one.since is not None:
        live["ended_at"] = BIRTH + timedelta(seconds=one.since)
    return TrialRow(**live)


def end_of(one: Situation) -> Diagnosis | None:
    (state,) = states(one, one.pods)
    state = replace(state, warnings_about=attempts.warnings_about(one.events))
    return diagnose(row(one), state, TRIAL, ASKED.spec, IMAGE, BIRTH + timedelta(seconds=one.seconds))


@pytest.mark.parametrize(("reason", "one"), CASES, ids=[f"{reason}-{one.named}" for reason, one in CASES])
def test_each_situation_in_the_cluster_gets_its_reason_and_a_sentence(reason: Reason, one: Situation) -> None:
    end = end_of(one)
    assert end is not None
    assert (end.reason, one.named in end.message) == (reason, True), end.message


def test_every_reason_has_a_situation_or_another_source() -> None:
    assert set(SITUATIONS) | set(NOT_OF_AN_ATTEMPT) == set(Reason)
    assert not set(SITUATIONS) & set(NOT_OF_AN_ATTEMPT)
