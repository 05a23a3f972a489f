"""Tests the diagnosis of an ended Attempt: its reason, and the pod that the message names."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sdbench.api.consequences import Consequence
from sdbench.api.reasons import BY_EXIT_CODE, Reason
from sdbench.core.attempt.diagnose import SETTLE_SECONDS
from sdbench.core.attempt.facts import pods_checksum
from sdbench.core.snapshot import AttemptState, PodExit, PodState
from sdbench_trainer.report import ExitCode, Report, ReportError
from unit.core.trial.ends import NAME, RUNNING, end_of
from unit.core.worlds import NOON, attempt, exited, failure, pod, report

GOOD = report(NAME)


def broken(index: int, code: int, said: str = "it broke", where: str = "training") -> PodState:
    return exited(index, code, of=failure(NAME, code, f"Traceback\n{said}\n", where, rank=index))


def without_master(index: int) -> PodState:
    return pod(
        index, started_at=None, exit=PodExit(1, "Error", "init container init-pytorch failed", before_start=True)
    )


def hung(index: int, *progress: int) -> PodState:
    error = ReportError(code=71, rank=index, where="training", progress=progress, tail="No step")
    return exited(index, 71, of=Report(attempt=NAME, error=error))


ROOT_CAUSES: list[tuple[str, tuple[PodState, ...], Reason, str]] = [
    (
        "bad config",
        (broken(0, 64), broken(1, 143)),
        Reason.CONFIG_INVALID,
        "pod pod-0, rank 0 while training: it broke",
    ),
    ("no data", (pod(0), broken(1, 65)), Reason.DATA_MISSING, "pod pod-1, rank 1 reading s3://bucket/shards"),
    ("a missed rendezvous", (broken(0, 66), pod(1)), Reason.RENDEZVOUS_TIMEOUT, "limits.rendezvousSeconds"),
    ("other devices", (broken(0, 74), broken(1, 74)), Reason.MIXED_DEVICES, "scheduling.nodeSelector"),
    ("a collective", (broken(0, 73), broken(1, 73)), Reason.COLLECTIVE_ERROR, "pod pod-0"),
    ("a bug before a collective", (broken(0, 73), broken(1, 70)), Reason.CRASHED, "pod pod-1"),
    ("memory before a collective", (broken(0, 73), broken(1, 67)), Reason.OUT_OF_MEMORY_DEVICE, "pod pod-1"),
    ("a collective before a lost peer", (broken(0, 69), broken(1, 73)), Reason.COLLECTIVE_ERROR, "pod pod-1"),
    ("no master", (exited(0, 69), without_master(1)), Reason.PEER_LOST, "pod pod-0"),
    ("no master at all", (without_master(0), without_master(1)), Reason.RENDEZVOUS_TIMEOUT, "did not find the master"),
    (
        "where it stalled",
        (exited(0, 71, of=failure(NAME, 71, 'File "a.py", line 3 in wait\n  File "b.py"\nNo step for 60 s.')),),
        Reason.STALLED,
        'while training: No step for 60 s. (File "a.py", line 3 in wait)',
    ),
    (
        "the tail of a crash",
        (broken(0, 70, "x" * 300 + " one\ntwo"), broken(1, 69)),
        Reason.CRASHED,
        "while training: …" + "x" * 272 + " one two",
    ),
    ("device memory", (broken(0, 69), broken(1, 67)), Reason.OUT_OF_MEMORY_DEVICE, "pod pod-1, rank 1"),
    ("loss", (broken(0, 68), broken(1, 69)), Reason.LOSS_NOT_FINITE, "pod pod-0"),
    ("stalled", (broken(0, 71), broken(1, 143)), Reason.STALLED, "pod pod-0"),
    (
        "the rank that others wait for",
        (hung(0, 3, 7, 2), hung(1, 3, 7, 1), hung(2, 3, 7, 2)),
        Reason.STALLED,
        "pod pod-1",
    ),
    ("the step that others wait for", (hung(0, 3, 8, 0), hung(1, 3, 7, 3)), Reason.STALLED, "pod pod-1"),
    ("a rank in a later stage waits", (hung(0, 3, 0, 1), hung(1, 2, 0, 0)), Reason.STALLED, "pod pod-1"),
    ("an older trainer reports no progress", (broken(0, 71), hung(1, 3, 7, 2)), Reason.STALLED, "pod pod-1"),
    ("shared memory", (broken(0, 69), broken(1, 72)), Reason.SHARED_MEMORY_FULL, "sharedMemory"),
    ("a bug before a lost peer", (broken(0, 69), broken(1, 70)), Reason.CRASHED, "pod pod-1, rank 1"),
    ("memory before a bug", (broken(0, 70), broken(1, 67)), Reason.OUT_OF_MEMORY_DEVICE, "pod pod-1"),
    (
        "the kubelet's reason before an exit code",
        (broken(0, 67), exited(1, 69, "OOMKilled")),
        Reason.OUT_OF_MEMORY_HOST,
        "pod pod-1",
    ),
    ("killed for memory", (exited(0, 137, "OOMKilled"), broken(1, 69)), Reason.OUT_OF_MEMORY_HOST, "perDevice.memory"),
    ("only peers lost", (broken(0, 69), broken(1, 69)), Reason.PEER_LOST, "pod pod-0"),
    ("a lost peer before a kill", (broken(0, 143), broken(1, 69)), Reason.PEER_LOST, "pod pod-1"),
    ("a killed rank before its lost peer", (broken(0, 69), broken(1, 137)), Reason.INTERRUPTED, "pod pod-1, rank 1"),
    ("a killed rank before what followed", (broken(0, 70), broken(1, 137)), Reason.INTERRUPTED, "pod pod-1, rank 1"),
    ("a cause before a killed rank", (broken(0, 137), broken(1, 67)), Reason.OUT_OF_MEMORY_DEVICE, "pod pod-1"),
    ("a killed pod after a lost peer", (broken(0, 69), exited(1, 137)), Reason.PEER_LOST, "pod pod-0"),
    ("all killed", (broken(0, 143), exited(1, 137)), Reason.INTERRUPTED, "signal 15"),
    ("an unknown code", (exited(0, 1, said="ModuleNotFoundError: torch"), exited(1, 0)), Reason.CRASHED, "torch"),
    ("bus error", (exited(0, 135), exited(1, 143)), Reason.CRASHED, "exit code 135"),
    ("ties by index", (broken(0, 68, "first"), broken(1, 67, "second")), Reason.LOSS_NOT_FINITE, "first"),
]


@pytest.mark.parametrize(("pods", "reason", "named"), [c[1:] for c in ROOT_CAUSES], ids=[c[0] for c in ROOT_CAUSES])
def test_the_root_cause_is_the_pod_with_the_strongest_reason(
    pods: tuple[PodState, ...], reason: Reason, named: str
) -> None:
    end = end_of(attempt(*pods, job_ended=True))
    assert end is not None
    assert end.reason is reason
    assert named in end.message
    assert end.consequence is reason.consequence
    assert reason.remedy in end.message


@pytest.mark.parametrize("code", [69, 70, 73, 134, 137, 143])
def test_a_weak_cause_waits_for_a_stronger_one(code: int) -> None:
    state = attempt(broken(0, code), pod(1))
    assert end_of(state) is None
    assert end_of(state, seconds=29, ended_at=NOON + timedelta(seconds=15)) is None
    assert end_of(state, seconds=15 + SETTLE_SECONDS, ended_at=NOON + timedelta(seconds=15)) is not None


def test_every_exit_code_has_one_reason() -> None:
    assert set(BY_EXIT_CODE) == set(ExitCode) - {ExitCode.OK}
    assert len(set(BY_EXIT_CODE.values())) == len(BY_EXIT_CODE)


def test_every_reason_but_success_has_a_remedy() -> None:
    assert {reason for reason in Reason if not reason.remedy} == {Reason.MEASURED, Reason.CONVERGED}
    assert all(reason.entry.when for reason in Reason)


def test_every_consequence_that_can_fail_a_row_has_a_scope() -> None:
    assert {one for one in Consequence if one.value.scope is None} == {
        Consequence.MEASURED,
        Consequence.RESUMED,
        Consequence.BACKS_OFF,
        Consequence.NOT_NEEDED,
        Consequence.WAITS,
    }
    assert [reason for reason in Reason if reason.consequence is Consequence.WAITS] == [Reason.BACKEND_UNAVAILABLE]


SEEN: dict[str, Any] = {"pods_checksum": pods_checksum(RUNNING), "scheduled_at": NOON}
LATER, EARLIER = NOON + timedelta(seconds=5), NOON - timedelta(seconds=5)


def lost(index: int) -> PodState:
    return replace(exited(index, 137, "ContainerStatusUnknown"), lost=True)


DONE = (exited(0, of=GOOD), exited(1))
STALLED = exited(0, 71, of=failure(NAME, 71, "No step for 60 s."))
ON_LOST_NODE = pod(1, disruption="DeletionByTaintManager", deleting=True)

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
        "a foreign CPU ratio that is not a number",
        attempt(exited(0, of=report(NAME, foreign_cpu_ratio=float("nan"))), exited(1)),
        {},
        Reason.REPORT_LOST,
    ),
    (
        "a negative steal ratio",
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
    ("another owner's object", attempt(foreign=True, planned=0), {"job_uid": None}, Reason.NAME_CONFLICT),
    ("two pods of one index", attempt(pod(0), pod(1), pod(1, uid="new"), planned=2), {}, Reason.INTERRUPTED),
    ("a replaced pod", RUNNING, {"pods_checksum": "00000000"}, Reason.INTERRUPTED),
    ("a replaced pod that ended well", attempt(*DONE), {"pods_checksum": "00000000"}, Reason.INTERRUPTED),
    ("the same pods", RUNNING, {"pods_checksum": pods_checksum(RUNNING)}, None),
    ("a missing pod", attempt(pod(0), planned=2), {"pods_checksum": "1"}, Reason.INTERRUPTED),
    ("a pod being deleted", attempt(pod(0), pod(1, deleting=True)), {}, Reason.INTERRUPTED),
    ("a pod that its node rejected", attempt(pod(0), pod(1, disruption="OutOfcpu")), {}, Reason.INTERRUPTED),
    ("an evicted pod", attempt(pod(0), pod(1, disruption="Evicted")), {}, Reason.EVICTED),
    ("a preempted pod", attempt(pod(0), pod(1, disruption="PreemptionByScheduler")), {}, Reason.PREEMPTED),
    ("preempted by another", attempt(pod(0), pod(1, disruption="PreemptionByKueue")), {}, Reason.PREEMPTED),
    ("a dead node", attempt(pod(0), pod(1, disruption="DeletionByTaintManager")), {}, Reason.NODE_LOST),
    ("a lost container", attempt(pod(0), lost(1)), {}, Reason.NODE_LOST),
    ("a lost container whose peers follow", attempt(broken(0, 69), lost(1)), {}, Reason.NODE_LOST),
    ("a lost node before a rejected pod", attempt(pod(0, disruption="OutOfcpu"), lost(1)), {}, Reason.NODE_LOST),
    ("a root cause before a peer's lost node", attempt(broken(0, 67), lost(1)), {}, Reason.OUT_OF_MEMORY_DEVICE),
    ("suspended from the start", attempt(planned=2, suspended=True), {}, None),
    ("suspended before all pods were seen", attempt(pod(0, deleting=True), planned=2, suspended=True), {}, None),
    ("suspended, killed, never seen", attempt(broken(0, 143), planned=2, suspended=True), {"ended_at": LATER}, None),
    ("suspended in the middle", replace(RUNNING, suspended=True), SEEN, Reason.PREEMPTED),
    ("suspended, pods being deleted", attempt(pod(0, deleting=True), pod(1), suspended=True), SEEN, Reason.PREEMPTED),
    ("suspended, pods killed", attempt(broken(0, 143), broken(1, 69), suspended=True), SEEN, Reason.PREEMPTED),
    ("suspended, pods deleted", attempt(planned=2, suspended=True), SEEN, Reason.PREEMPTED),
    ("suspended after a root cause", attempt(broken(0, 67), pod(1), suspended=True), SEEN, Reason.OUT_OF_MEMORY_DEVICE),
    ("suspended after the end", attempt(*DONE, suspended=True), SEEN, Reason.MEASURED),
    ("suspended and deleted", attempt(planned=2, suspended=True, deleting=True), SEEN, Reason.JOB_DELETED),
    ("resumed, then seen", replace(RUNNING, suspension_at=EARLIER), SEEN, None),
    (
        "suspended and resumed since",
        replace(RUNNING, suspension_at=LATER),
        {**SEEN, "pods_checksum": "1"},
        Reason.PREEMPTED,
    ),
    ("resumed, pods not created yet", attempt(pod(0), planned=2, suspension_at=LATER), SEEN, Reason.PREEMPTED),
    ("resumed long before a deletion", attempt(pod(0), planned=2, suspension_at=EARLIER), SEEN, Reason.INTERRUPTED),
    (
        "other images",
        attempt(DONE[0], replace(DONE[1], image_id="r/t@sha256:2")),
        {},
        Reason.MEASURED,
    ),
    (
        "other images of one form",
        attempt(replace(DONE[0], image_id="r/t@sha256:1"), replace(DONE[1], image_id="m/t@sha256:2")),
        {},
        Reason.MIXED_IMAGES,
    ),
    (
        "a mirror's image",
        attempt(replace(DONE[0], image_id="r/t@sha256:1"), replace(DONE[1], image_id="m/t@sha256:1")),
        {},
        Reason.MEASURED,
    ),
    ("a job of another UID", attempt(pod(0), pod(1), job_uid="other"), {}, Reason.JOB_DELETED),
    ("the job being deleted", attempt(pod(0), pod(1), deleting=True), {}, Reason.JOB_DELETED),
    ("the job gone, pods left", attempt(pod(0), pod(1), job_uid=None), {}, Reason.JOB_DELETED),
    ("never seen, gone, pods left", attempt(pod(0), job_uid=None), {"job_uid": None}, Reason.JOB_DELETED),
    (
        "the root cause in a deleted job",
        attempt(broken(0, 67), pod(1), job_uid=None),
        {},
        Reason.OUT_OF_MEMORY_DEVICE,
    ),
    ("a rank waits for a lost node", attempt(STALLED, ON_LOST_NODE), {"ended_at": EARLIER}, Reason.NODE_LOST),
    ("a rank did not meet a lost node", attempt(broken(0, 66), ON_LOST_NODE), {}, Reason.NODE_LOST),
    ("a rank waits for a lost container", attempt(STALLED, lost(1)), {}, Reason.NODE_LOST),
    (
        "a cause that does not follow from a lost node",
        attempt(broken(0, 67), ON_LOST_NODE),
        {},
        Reason.OUT_OF_MEMORY_DEVICE,
    ),
    ("a rank waits for a deleted pod", attempt(STALLED, planned=2), SEEN, Reason.INTERRUPTED),
    ("a rank waits, and no node is lost", attempt(STALLED, broken(1, 71)), {}, Reason.STALLED),
    (
        "ended without an explanation",
        attempt(planned=2, job_ended=True),
        {"ended_at": NOON - timedelta(60)},
        Reason.UNKNOWN,
    ),
    ("ended without an explanation just now", attempt(planned=2, job_ended=True), {"ended_at": NOON}, None),
]


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (attempt(pod(0), pod(1, uid="new", scheduled_at=LATER)), "Pod pod-1 was replaced"),
        (attempt(pod(0), pod(1, uid="new", scheduled_at=None)), "Pod pod-1 was replaced"),
        (attempt(pod(0), pod(1, uid="new")), f"A pod of {NAME} was replaced"),
        (attempt(pod(0), planned=2), f"{NAME}-worker-0 among them"),
        (attempt(pod(1), planned=2), f"{NAME}-master-0 among them"),
    ],
)
def test_the_pod_that_was_replaced_or_deleted_is_named(state: AttemptState, named: str) -> None:
    end = end_of(state, **SEEN)
    assert end is not None
    assert (end.reason, named in end.message) == (Reason.INTERRUPTED, True)


@pytest.mark.parametrize(("state", "row", "reason"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS])
def test_an_attempt_ends_with_this_reason_or_goes_on(
    state: AttemptState, row: dict[str, Any], reason: Reason | None
) -> None:
    end = end_of(state, **row)
    assert (end.reason if end is not None else None) is reason
