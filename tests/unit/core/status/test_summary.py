"""Tests the REASON of the summary: why a Benchmark waits, what failed, or nothing if all is well."""

from dataclasses import replace
from typing import Any

import pytest

from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, Bounds, Decision, Snapshot
from unit.core.worlds import after, attempt, benchmark, exited, pod, report, snapshot, spec

ONE: dict[str, Any] = {"devices": {"counts": [1]}}
JOB = "tiny-0a1b2-0-1"


def reason(made: Decision) -> str:
    assert made.status.summary is not None
    return made.status.summary.reason


def first_pass(**changes: Any) -> tuple[Decision, Snapshot]:
    at = snapshot(benchmark(spec(**{**ONE, **changes})))
    return decide(at), at


def seen(*attempts: AttemptState, **changes: Any) -> tuple[Decision, Snapshot]:
    """The Decision of the pass that sees these Attempts, and its Snapshot."""
    made, at = first_pass(**changes)
    at = after(made, at, *attempts)
    return decide(at), at


UNPLACED = pod(scheduled_at=None, started_at=None, unschedulable="0/1 nodes are available")
UNPULLED = pod(started_at=None, waiting_reason="ImagePullBackOff")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (attempt(pod()), ""),
        (attempt(UNPLACED), "Unschedulable"),
        (attempt(UNPULLED), "ImagePull"),
        (attempt(suspended=True), "NotAdmitted"),
        (attempt(exited(0, 67), job_ended=True), "OutOfMemoryDevice"),
        (attempt(exited(of=report(JOB)), job_ended=True), ""),
    ],
)
def test_the_reason_is_that_of_the_blocker_or_of_the_failure(state: AttemptState, expected: str) -> None:
    assert reason(seen(state)[0]) == expected


def test_a_new_benchmark_has_no_reason() -> None:
    assert reason(first_pass()[0]) == ""


def test_a_void_attempt_is_the_reason_until_the_next_one_runs() -> None:
    made, at = seen(attempt(exited(0, 69), job_ended=True))
    assert reason(made) == "PeerLost"
    waiting = decide(after(made, at))
    assert waiting.status.summary is not None
    assert [row.attempt for row in waiting.status.trials] == [2]
    assert reason(waiting) == "", "another Attempt has started"


def test_the_reason_of_a_partly_measured_benchmark_is_what_failed() -> None:
    made, at = first_pass(devices={"counts": [1, 2]})
    measured = attempt(exited(of=report(JOB)), job_ended=True)
    made, at = decide(after(made, at, measured)), after(made, at, measured)
    made, at = decide(after(made, at)), after(made, at)
    failed = attempt(exited(0, 67), name="tiny-0a1b2-1-1", trial=1, job_ended=True)
    ended = decide(after(made, at, failed))
    assert ended.status.phase == "Succeeded"
    assert reason(ended) == "OutOfMemoryDevice"


def test_a_suspended_benchmark_says_so() -> None:
    assert reason(first_pass(suspend=True)[0]) == "Suspended"


def test_a_rejected_benchmark_says_so() -> None:
    assert reason(first_pass(limits={"deviceHours": "0"})[0]) == "PlanRefused"


def test_a_cluster_without_pytorchjobs_is_a_reason() -> None:
    assert reason(decide(replace(snapshot(benchmark(spec(**ONE))), backend=False))) == "BackendUnavailable"


def test_other_benchmarks_that_go_first_are_a_reason() -> None:
    at = snapshot(benchmark(spec(**ONE)))
    bounds = Bounds(concurrent_trials=1)
    crowded = replace(at, others_running=1, defaults=replace(at.defaults, bounds=bounds))
    assert reason(decide(crowded)) == "WaitsForOtherBenchmarks"


def test_a_job_that_the_cluster_refuses_to_create_is_a_reason() -> None:
    made, at = first_pass()
    row = made.status.trials[0].model_copy(update={"message": "A policy refuses the job"})
    rejected = made.status.model_copy(update={"trials": (row,)})
    assert reason(decide(after(Decision(rejected), at))) == "JobRefused"
