"""Why did an Attempt end? One situation a row: what is seen, what it is called, and whom the sentence names."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sdbench.api.status import Reason, TrialPhase, TrialRow
from sdbench.core.attempts import pods_checksum
from sdbench.core.causes import CODES, SETTLE_SECONDS, Ending, ending
from sdbench.core.consequences import CONSEQUENCES, SCOPES, Consequence
from sdbench.core.plan import plan
from sdbench.core.world import AttemptState, Complaint, PodState
from sdbench_trainer.report import ExitCode
from unit.core.worlds import NOON, attempt, exited, failure, pod, report, spec

IMAGE = "registry.example/trainer:1"
NAME = "tiny-0a1b2-0-1"
ASKED = spec(devices={"counts": [2], "perPod": 1}, data={"remote": "s3://bucket/shards", "credentialsSecret": "s3"})
TRIAL = plan(ASKED)[0]
GOOD = report(NAME)


def end_of(state: AttemptState, seconds: float = 10, **row: Any) -> Ending | None:
    before = {"phase": TrialPhase.RUNNING, "attempt": 1, "job": NAME, "job_uid": "job-0-1", **row}
    live = TrialRow(trial=0, point="devices=2", devices=2, repeat=0, **before)
    return ending(live, state, TRIAL, ASKED, IMAGE, NOON + timedelta(seconds=seconds))


def broken(index: int, code: int, said: str = "it broke", where: str = "training") -> PodState:
    return exited(index, code, of=failure(NAME, code, f"Traceback\n{said}\n", where, rank=index))


CULPRITS: list[tuple[str, tuple[PodState, ...], Reason, str]] = [
    (
        "bad config",
        (broken(0, 64), broken(1, 143)),
        Reason.CONFIG_INVALID,
        "pod pod-0, rank 0 while training: it broke",
    ),
    ("no data", (pod(0), broken(1, 65)), Reason.DATA_MISSING, "pod pod-1, rank 1 reading s3://bucket/shards"),
    ("nobody met", (broken(0, 66), pod(1)), Reason.RENDEZVOUS_TIMEOUT, "limits.rendezvousSeconds"),
    ("device memory", (broken(0, 69), broken(1, 67)), Reason.OUT_OF_MEMORY_DEVICE, "pod pod-1, rank 1"),
    ("loss", (broken(0, 68), broken(1, 69)), Reason.LOSS_NOT_FINITE, "pod pod-0"),
    ("stalled", (broken(0, 71), broken(1, 143)), Reason.STALLED, "pod pod-0"),
    ("shared memory", (broken(0, 69), broken(1, 72)), Reason.SHARED_MEMORY_FULL, "sharedMemory"),
    ("a bug before a lost peer", (broken(0, 69), broken(1, 70)), Reason.CRASHED, "pod pod-1, rank 1"),
    ("memory before a bug", (broken(0, 70), broken(1, 67)), Reason.OUT_OF_MEMORY_DEVICE, "pod pod-1"),
    ("the kubelet's word first", (broken(0, 67), exited(1, 69, "OOMKilled")), Reason.OUT_OF_MEMORY_HOST, "pod pod-1"),
    ("killed for memory", (exited(0, 137, "OOMKilled"), broken(1, 69)), Reason.OUT_OF_MEMORY_HOST, "perDevice.memory"),
    ("only peers lost", (broken(0, 69), broken(1, 69)), Reason.PEER_LOST, "pod pod-0"),
    ("a lost peer before a kill", (broken(0, 143), broken(1, 69)), Reason.PEER_LOST, "pod pod-1"),
    ("all killed", (broken(0, 143), exited(1, 137)), Reason.INTERRUPTED, "signal 15"),
    ("an unknown code", (exited(0, 1, said="ModuleNotFoundError: torch"), exited(1, 0)), Reason.CRASHED, "torch"),
    ("bus error", (exited(0, 135), exited(1, 143)), Reason.CRASHED, "exit code 135"),
    ("ties by index", (broken(0, 68, "first"), broken(1, 67, "second")), Reason.LOSS_NOT_FINITE, "first"),
]


@pytest.mark.parametrize(("pods", "reason", "named"), [c[1:] for c in CULPRITS], ids=[c[0] for c in CULPRITS])
def test_the_culprit_is_the_pod_with_the_most_telling_end(
    pods: tuple[PodState, ...], reason: Reason, named: str
) -> None:
    end = end_of(attempt(*pods, job_ended=True))
    assert end is not None
    assert end.reason is reason
    assert named in end.message
    assert end.consequence is CONSEQUENCES[reason]


@pytest.mark.parametrize("code", [69, 70, 137, 143])
def test_a_weak_cause_waits_for_a_stronger_one(code: int) -> None:
    state = attempt(broken(0, code), pod(1))
    assert end_of(state) is None
    assert end_of(state, seconds=29, ended_at=NOON + timedelta(seconds=15)) is None
    assert end_of(state, seconds=15 + SETTLE_SECONDS, ended_at=NOON + timedelta(seconds=15)) is not None


def test_every_exit_code_has_a_meaning() -> None:
    assert set(CODES) == set(ExitCode) - {ExitCode.OK}


def test_every_reason_has_a_consequence_and_every_failure_a_scope() -> None:
    assert set(CONSEQUENCES) == set(Reason) - {Reason.BACKEND_UNAVAILABLE}, "which ends no Attempt"
    assert set(SCOPES) == set(Consequence) - {
        Consequence.MEASURED,
        Consequence.RESUMED,
        Consequence.BACKS_OFF,
        Consequence.SPARES,
    }


RUNNING = attempt(pod(0), pod(1))
DONE = (exited(0, of=GOOD), exited(1))

ENDS: list[tuple[str, AttemptState, dict[str, Any], Reason | None]] = [
    ("it runs", RUNNING, {}, None),
    ("rank 0 has ended, others have not", attempt(exited(0, of=GOOD), pod(1), job_ended=True), {}, None),
    ("all have ended well", attempt(*DONE, job_ended=True), {}, Reason.MEASURED),
    ("the job is gone but all had ended well", attempt(*DONE, job_uid=None), {}, Reason.MEASURED),
    ("no report", attempt(exited(0), exited(1)), {}, Reason.REPORT_LOST),
    ("the report of another attempt", attempt(exited(0, of=report("tiny-0-0")), exited(1)), {}, Reason.REPORT_LOST),
    ("a report in the wrong pod", attempt(exited(0), exited(1, of=GOOD)), {}, Reason.REPORT_LOST),
    ("a rate of zero", attempt(exited(0, of=report(NAME, images_per_second=0.0)), exited(1)), {}, Reason.REPORT_LOST),
    ("a window cut short", attempt(exited(0, of=report(NAME, batches=3)), exited(1)), {}, Reason.REPORT_LOST),
    ("not a number", attempt(exited(0, of=report(NAME, loss=float("nan"))), exited(1)), {}, Reason.REPORT_LOST),
    (
        "strangers who took no number",
        attempt(exited(0, of=report(NAME, foreign_cpu_ratio=float("nan"))), exited(1)),
        {},
        Reason.REPORT_LOST,
    ),
    (
        "stolen less than nothing",
        attempt(exited(0, of=report(NAME, steal_ratio=-0.1)), exited(1)),
        {},
        Reason.REPORT_LOST,
    ),
    (
        "a negative wait",
        attempt(exited(0, of=report(NAME, data_wait_ratio_max=-1.0)), exited(1)),
        {},
        Reason.REPORT_LOST,
    ),
    ("another batch", attempt(exited(0, of=report(NAME, batch=16)), exited(1)), {}, Reason.REPORT_LOST),
    ("a stranger's object", attempt(foreign=True, planned=0), {"job_uid": None}, Reason.NAME_CONFLICT),
    ("two pods at one place", attempt(pod(0), pod(1), pod(1, uid="new"), planned=2), {}, Reason.INTERRUPTED),
    ("another pod at its place", RUNNING, {"pods_checksum": "00000000"}, Reason.INTERRUPTED),
    ("another pod that ended well", attempt(*DONE), {"pods_checksum": "00000000"}, Reason.INTERRUPTED),
    ("the same pods", RUNNING, {"pods_checksum": pods_checksum(RUNNING)}, None),
    ("a pod less", attempt(pod(0), planned=2), {"pods_checksum": "1"}, Reason.INTERRUPTED),
    ("a pod being deleted", attempt(pod(0), pod(1, deleting=True)), {}, Reason.INTERRUPTED),
    ("an evicted pod", attempt(pod(0), pod(1, disruption="Evicted")), {}, Reason.INTERRUPTED),
    ("a job of another UID", attempt(pod(0), pod(1), job_uid="other"), {}, Reason.JOB_VANISHED),
    ("the job being deleted", attempt(pod(0), pod(1), deleting=True), {}, Reason.JOB_VANISHED),
    ("the job gone, pods left", attempt(pod(0), pod(1), job_uid=None), {}, Reason.JOB_VANISHED),
    ("never seen, gone, pods left", attempt(pod(0), job_uid=None), {"job_uid": None}, Reason.JOB_VANISHED),
    (
        "the culprit of a job that is gone",
        attempt(broken(0, 67), pod(1), job_uid=None),
        {},
        Reason.OUT_OF_MEMORY_DEVICE,
    ),
    ("ended without a word", attempt(planned=2, job_ended=True), {"ended_at": NOON - timedelta(60)}, Reason.UNKNOWN),
    ("ended without a word just now", attempt(planned=2, job_ended=True), {"ended_at": NOON}, None),
]


@pytest.mark.parametrize(("state", "row", "reason"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS])
def test_an_attempt_ends_when(state: AttemptState, row: dict[str, Any], reason: Reason | None) -> None:
    end = end_of(state, **row)
    assert (end.reason if end is not None else None) is reason


def queued(index: int, **changes: Any) -> PodState:
    return pod(index, scheduled_at=None, started_at=None, node=None, **changes)


def waiting(index: int, reason: str = "", message: str = "") -> PodState:
    return pod(index, started_at=None, waiting_reason=reason, waiting_message=message)


def refused(message: str) -> AttemptState:
    return attempt(planned=2, complaints=(Complaint(NAME, "FailedCreatePod", message),))


MOUNT = Complaint("pod-1", "FailedMount", 'MountVolume.SetUp failed for volume "credentials" : secret "s3" not found')
CACHE = replace(MOUNT, message="failed to sync secret cache: timed out waiting for the condition")
QUOTA = 'pods "x" is forbidden: exceeded quota: compute, requested: cpu=4, used: cpu=0, limited: cpu=2'
SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
CLAIM = '0/1 nodes are available: persistentvolumeclaim "shards" not found.'

STUCK: list[tuple[str, AttemptState, int, Reason, str]] = [
    ("quota", refused(QUOTA), 20, Reason.PODS_FORBIDDEN, "exceeded quota: compute"),
    ("Pod Security", refused(SECURITY), 20, Reason.PODS_FORBIDDEN, "runAsNonRoot"),
    ("a webhook that is down", refused("failed calling webhook"), 86_400, Reason.PODS_FORBIDDEN, "webhook"),
    ("no such claim", attempt(queued(0, unschedulable=CLAIM), queued(1)), 20, Reason.DATA_MISSING, "shards"),
    ("no node", attempt(queued(0, unschedulable="0/3 nodes"), pod(1)), 86_400, Reason.UNSCHEDULABLE, "0/3 nodes"),
    ("not scheduled", attempt(pod(0), planned=2), 86_400, Reason.DEADLINE_EXCEEDED, "limits.queuedSeconds"),
    ("a bad name", attempt(waiting(0, "InvalidImageName"), pod(1)), 20, Reason.IMAGE_PULL, IMAGE),
    ("never pulled", attempt(waiting(0, "ErrImageNeverPull"), pod(1)), 20, Reason.IMAGE_PULL, IMAGE),
    (
        "back-off",
        attempt(waiting(0, "ImagePullBackOff", "no such tag"), pod(1)),
        1_800,
        Reason.IMAGE_PULL,
        "no such tag",
    ),
    ("pull error", attempt(pod(0), waiting(1, "ErrImagePull", "401")), 1_800, Reason.IMAGE_PULL, "401"),
    (
        "no such Secret in the environment",
        attempt(waiting(0, "CreateContainerConfigError", 'secret "s3" not found'), pod(1)),
        20,
        Reason.SECRET_MISSING,
        "The Secret s3 does not exist",
    ),
    ("no such Secret to mount", attempt(pod(0), waiting(1), complaints=(MOUNT,)), 20, Reason.SECRET_MISSING, "s3"),
    (
        "a slow Secret",
        attempt(pod(0), waiting(1), complaints=(CACHE,)),
        1_800,
        Reason.DEADLINE_EXCEEDED,
        "startSeconds",
    ),
    (
        "a root image",
        attempt(waiting(0, "CreateContainerConfigError", "image will run as root"), pod(1)),
        20,
        Reason.CONFIG_INVALID,
        "will run as root",
    ),
    ("slow start", attempt(waiting(0), pod(1)), 1_800, Reason.DEADLINE_EXCEEDED, "limits.startSeconds"),
    ("no end", RUNNING, 86_402, Reason.DEADLINE_EXCEEDED, "limits.totalSeconds"),
]


@pytest.mark.parametrize(("state", "seconds", "reason", "named"), [s[1:] for s in STUCK], ids=[s[0] for s in STUCK])
def test_what_is_in_the_way_is_borne_until(state: AttemptState, seconds: int, reason: Reason, named: str) -> None:
    assert end_of(state, seconds=seconds - 1) is None
    end = end_of(state, seconds=seconds)
    assert end is not None
    assert end.reason is reason
    assert named in end.message


def test_a_quota_ends_the_point_and_pod_security_the_sweep() -> None:
    quota, security = end_of(refused(QUOTA), seconds=20), end_of(refused(SECURITY), seconds=20)
    assert quota is not None
    assert quota.consequence is Consequence.ENDS_POINT
    assert security is not None
    assert security.consequence is Consequence.STOPS_SWEEP


def test_an_old_complaint_is_no_matter_once_the_pods_are_there() -> None:
    state = replace(refused(QUOTA), pods=(pod(0), pod(1)))
    assert end_of(state, seconds=600) is None
