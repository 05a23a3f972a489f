"""Tests that the first cause is blamed, within seconds, when pods end one after another."""

from datetime import timedelta

import pytest

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt.diagnose import SETTLE_SECONDS
from sdbench.core.decide import decide
from sdbench.core.snapshot import Decision, PodState, Snapshot
from unit.core.worlds import NOON, after, attempt, benchmark, exited, failure, pod, snapshot, spec

NAME = "tiny-0a1b2-0-1"
TWO_PODS = {"counts": [2], "perPod": 1}


def broken(index: int, code: int) -> PodState:
    return exited(index, code, of=failure(NAME, code, "it broke", rank=index))


def running() -> tuple[Decision, Snapshot]:
    at = snapshot(benchmark(spec(devices=TWO_PODS)))
    at = after(decide(at), at, attempt(pod(0), pod(1)), seconds=5)
    return decide(at), at


def ends(*passes: tuple[float, tuple[PodState, ...]]) -> TrialRow:
    """The row after these passes: each sees these pods, some seconds after the pass before."""
    made, at = running()
    for seconds, pods in passes:
        at = after(made, at, attempt(*pods), seconds=seconds)
        made = decide(at)
    return made.status.trials[0]


@pytest.mark.parametrize("code", [64, 65, 66, 67, 68, 72, 74])
def test_a_worker_that_names_its_cause_ends_the_attempt_at_once_even_if_the_master_hangs(code: int) -> None:
    row = ends((0, (pod(0), broken(1, code))))
    assert row.phase in {TrialPhase.FAILED, TrialPhase.STOPPING}
    assert "pod pod-1, rank 1" in row.message


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [({}, 30), ({"stallSeconds": 40}, 50), ({"firstStepSeconds": 5}, 85), ({"stallSeconds": 600}, 30)],
)
@pytest.mark.parametrize("peer", [pod(1), broken(1, 69)], ids=["runs", "lost its peer"])
def test_a_stall_counts_once_the_cluster_would_have_reported_a_lost_node(
    limits: dict[str, int], seconds: int, peer: PodState
) -> None:
    third = pod(2)
    at = snapshot(benchmark(spec(devices={"counts": [3], "perPod": 1}, trainer={"globalBatchSize": 6}, limits=limits)))
    at = after(decide(at), at, attempt(pod(0), peer, third), seconds=5)
    stalled = attempt(broken(0, 71), peer, third)
    at = after(decide(at), at, stalled)
    at = after(decide(at), at, stalled, seconds=seconds - 1)
    made = decide(at)
    assert made.status.trials[0].phase is TrialPhase.RUNNING
    assert made.requeue_after == timedelta(seconds=1)
    row = decide(after(made, at, stalled, seconds=1)).status.trials[0]
    assert (row.reason, "pod pod-0" in row.message) == (Reason.STALLED, True)
    off = pod(2, disruption="DeletionByTaintManager", deleting=True)
    lost = decide(after(made, at, attempt(broken(0, 71), peer, off))).status.trials[0]
    assert (lost.reason, "Pod pod-2" in lost.message) == (Reason.NODE_LOST, True)


def test_a_stall_of_all_pods_counts_at_once() -> None:
    row = ends((0, (broken(0, 71), broken(1, 71))))
    assert (row.phase, row.reason) == (TrialPhase.STOPPING, Reason.STALLED)


@pytest.mark.parametrize("code", [1, 69, 70, 73, 134, 137, 143])
def test_any_other_dead_worker_ends_the_attempt_within_seconds_even_if_the_master_hangs(code: int) -> None:
    died = (pod(0), broken(1, code))
    assert ends((0, died), (SETTLE_SECONDS - 1, died)).phase is TrialPhase.RUNNING
    row = ends((0, died), (SETTLE_SECONDS, died))
    assert row.phase in {TrialPhase.FAILED, TrialPhase.STOPPING}
    assert "pod pod-1" in row.message


def test_the_benchmark_is_requeued_for_when_the_weak_cause_has_waited() -> None:
    made, at = running()
    died = attempt(pod(0), broken(1, 137))
    at = after(made, at, died)
    made = decide(at)
    assert decide(after(made, at, died)).requeue_after == timedelta(seconds=SETTLE_SECONDS)


@pytest.mark.parametrize(
    ("later", "reason", "named"),
    [
        (broken(1, 67), Reason.OUT_OF_MEMORY_DEVICE, "pod-1"),
        (exited(1, 137, "OOMKilled"), Reason.OUT_OF_MEMORY_HOST, "pod-1"),
        (broken(1, 70), Reason.CRASHED, "pod-1"),
        (broken(1, 73), Reason.COLLECTIVE_ERROR, "pod-1"),
        (broken(1, 69), Reason.PEER_LOST, "pod-0"),
        (exited(1, 137), Reason.PEER_LOST, "pod-0"),
    ],
    ids=["device memory", "host memory", "a bug", "a collective", "a peer, too", "killed"],
)
def test_a_worker_that_dies_3_seconds_after_its_peer_gave_up_is_considered(
    later: PodState, reason: Reason, named: str
) -> None:
    row = ends((0, (broken(0, 69), pod(1))), (3, (broken(0, 69), later)))
    assert (row.reason, f"pod {named}" in row.message) == (reason, True)


def test_a_pod_that_hangs_after_another_ended_well_ends_as_stalled_and_is_torn_down() -> None:
    half = (exited(0), pod(1))
    row = ends((30, half), (659, half))
    assert (row.phase, row.ended_at) == (TrialPhase.RUNNING, NOON + timedelta(seconds=35))
    row = ends((30, half), (659, half), (1, half))
    assert (row.phase, row.reason, row.ended_at) == (TrialPhase.STOPPING, Reason.STALLED, NOON + timedelta(seconds=695))


@pytest.mark.parametrize(
    ("said", "shown"), [(2, 2), (-1_200, 5), (1_200, 5)], ids=["a right clock", "a slow clock", "a fast clock"]
)
def test_the_start_of_a_run_is_shown_within_its_possible_bounds(said: int, shown: int) -> None:
    at = snapshot(benchmark(spec(devices=TWO_PODS)))
    pods = pod(0, started_at=NOON + timedelta(seconds=said)), pod(1)
    (row,) = decide(after(decide(at), at, attempt(*pods), seconds=5)).status.trials
    assert row.started_at == NOON + timedelta(seconds=shown)


def test_a_cause_that_is_seen_too_late_does_not_change_the_reason() -> None:
    gave_up = (broken(0, 69), pod(1))
    row = ends((0, gave_up), (SETTLE_SECONDS, gave_up), (1, (broken(0, 69), broken(1, 67))))
    assert row.reason is Reason.PEER_LOST
