"""Tests how a row goes on after its Attempt has failed, or while it waits."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.status import Phase, TrialPhase
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, PodState
from unit.core.trial.passes import NAME, ONE, broken, ended, phases, running, torn_down
from unit.core.worlds import NOON, after, attempt, benchmark, condition, exited, pod, report, snapshot, spec


def test_an_attempt_that_lost_a_peer_is_retried_once_its_devices_are_free() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, broken(69), seconds=5)
    made = decide(at)
    row = made.status.trials[0]
    assert (row.phase, row.reason, row.failures) == (TrialPhase.STOPPING, Reason.PEER_LOST, 1)
    assert (made.jobs_to_create, made.jobs_to_delete) == ((), ()), "the end is stored before anything is removed"

    made, at = torn_down(made, at, broken(69))
    row = made.status.trials[0]
    assert (row.phase, row.attempt, row.job) == (TrialPhase.STARTING, 2, "tiny-0a1b2-0-2")
    assert [start.name for start in made.jobs_to_create] == ["tiny-0a1b2-0-2"]
    assert made.status.spent_device_seconds == 16, "from scheduled to released"
    assert [event.reason for event in made.events] == ["AttemptStarted"]


def test_a_terminating_pod_keeps_the_next_attempt_waiting() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, broken(69), seconds=5)
    made = decide(at)
    going = attempt(pod(deleting=True), job_uid=None)
    at = after(made, at, going)
    made = decide(at)
    assert phases(made) == ["Stopping:PeerLost"]
    assert (made.jobs_to_create, made.jobs_to_delete) == ((), ())
    assert made.requeue_after is not None


def test_retries_are_counted_and_bounded() -> None:
    made, at = ended(spec(devices=ONE, retries=1), 69)
    at = after(made, at, broken(69, number=2), seconds=5)
    made = decide(at)
    row = made.status.trials[0]
    assert (row.phase, row.reason, row.scope, row.failures) == (TrialPhase.FAILED, Reason.PEER_LOST, Scope.TRIAL, 2)
    assert row.message.startswith("After 2 failed attempts: A rank lost its peers")
    assert made.status.phase is Phase.FAILED


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (65, ["Failed:DataMissing", "Failed:Skipped", "Failed:Skipped", "Failed:Skipped"]),
        (67, ["Failed:OutOfMemoryDevice", "Starting:", "Failed:Skipped", "Pending:"]),
        (70, ["Failed:Crashed", "Starting:", "Failed:Skipped", "Pending:"]),
        (71, ["Starting:Stalled", "Pending:", "Pending:", "Pending:"]),
    ],
)
def test_a_failure_ends_the_sweep_or_its_point_or_only_the_attempt(code: int, expected: list[str]) -> None:
    made, _ = ended(spec(repeats={"min": 2}), code)
    assert phases(made) == expected


def test_a_failed_sweep_says_why() -> None:
    made, at = ended(spec(devices=ONE, data={"remote": "s3://bucket/none"}), 65)
    assert (made.status.phase, condition(made.status, "Failed")) == (Phase.FAILED, "True")
    failed = next(one for one in made.status.conditions if one.type == "Failed")
    assert failed.reason == "DataMissing"
    assert "s3://bucket/none" in failed.message
    assert condition(made.status, "Stalled") == "True"
    assert condition(made.status, "CleanedUp") == "True"
    assert decide(after(made, at)).status == made.status


def test_a_partly_measured_benchmark_is_complete_and_says_so() -> None:
    made, at = running(spec())
    done = attempt(exited(of=report(NAME)), job_ended=True)
    at = after(made, at, done, seconds=5)
    made, at = torn_down(decide(at), at, done)
    at = after(made, at, broken(67, trial=1), seconds=5)
    made = decide(at)
    assert phases(made) == ["Succeeded:Measured", "Failed:OutOfMemoryDevice"]
    complete = next(one for one in made.status.conditions if one.type == "Complete")
    assert (made.status.phase, complete.reason) == (Phase.SUCCEEDED, "PartlyMeasured")
    assert "1 of 2 Points are measured; devices=2: OutOfMemoryDevice" in complete.message


def test_a_result_that_arrives_with_the_suspension_is_kept() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, attempt(exited(of=report(NAME))), suspend=True)
    assert phases(decide(at)) == ["Succeeded:Measured"]


def test_parallelism_bounds_what_runs_at_once() -> None:
    made = decide(snapshot(benchmark(spec(repeats={"min": 2}, parallelism=3))))
    assert [start.trial for start in made.jobs_to_create] == [0, 1, 2]


def test_a_leftover_pod_of_a_namesake_blocks_every_trial() -> None:
    stray = replace(attempt(pod()), name="tiny-ffff0-0-1")
    made = decide(snapshot(benchmark(spec()), stray))
    assert (made.jobs_to_create, made.jobs_to_delete) == ((), ())
    assert made.requeue_after is not None
    freed = decide(snapshot(benchmark(spec())))
    assert len(freed.jobs_to_create) == 1


def test_an_older_attempt_that_was_created_late_is_stopped() -> None:
    made, at = ended(spec(devices=ONE), 69)
    assert made.status.trials[0].attempt == 2
    at = after(made, at, attempt(pod(), number=1), attempt(pod(), number=2))
    made = decide(at)
    assert [stop.name for stop in made.jobs_to_delete] == [NAME]


def test_attempts_missing_from_the_status_are_stopped_and_their_names_not_reused() -> None:
    at = snapshot(benchmark(spec(devices=ONE)), attempt(pod(), number=3))
    made = decide(at)
    assert (made.jobs_to_create, made.jobs_to_delete) == ((), ())
    made, _ = torn_down(made, at, attempt(pod(), number=3))
    assert [start.name for start in made.jobs_to_create] == ["tiny-0a1b2-0-4"]


def test_another_owners_object_is_left_alone_and_the_next_name_is_tried() -> None:
    at = snapshot(benchmark(spec(devices=ONE)))
    foreign = attempt(foreign=True, planned=0)
    at = after(decide(at), at, foreign)
    made = decide(at)
    assert made.jobs_to_delete == ()
    assert made.status.trials[0].failures == 1
    assert [start.name for start in made.jobs_to_create] == ["tiny-0a1b2-0-2"]
    assert decide(after(made, at, foreign)).jobs_to_delete == ()


def test_a_job_that_was_seen_and_deleted_is_never_created_again_under_its_name() -> None:
    made, at = running(spec(devices=ONE))
    made = decide(after(made, at))
    assert made.status.trials[0].failures == 1
    assert [start.name for start in made.jobs_to_create] == ["tiny-0a1b2-0-2"]


def test_a_job_that_somebody_else_recreated_does_not_count() -> None:
    made, at = running(spec(devices=ONE))
    other = attempt(exited(of=report(NAME)), job_uid="another")
    at = after(made, at, other)
    made = decide(at)
    assert phases(made) == ["Stopping:JobDeleted"]
    assert [stop.job_uid for stop in decide(after(made, at, other)).jobs_to_delete] == ["another"]


def test_a_result_is_void_if_a_pod_was_replaced_since_all_were_seen() -> None:
    asked = spec(devices={"counts": [2], "perPod": 1})
    at = snapshot(benchmark(asked))
    at = after(decide(at), at, attempt(pod(0), pod(1)))
    made = decide(at)
    late = NOON + timedelta(seconds=9)
    done = (exited(0, of=report(NAME)), replace(exited(1), uid="another", scheduled_at=late))
    ended = decide(after(made, at, attempt(*done)))
    assert phases(ended) == ["Stopping:Interrupted"]
    assert ended.status.trials[0].message.startswith("Pod pod-1 was replaced")


def test_a_job_that_cannot_be_created_is_given_up() -> None:
    at = snapshot(benchmark(spec(devices=ONE, limits={"queuedSeconds": 60})))
    at = after(decide(at), at, seconds=60)
    assert phases(decide(at)) == ["Failed:DeadlineExceeded"]


def test_a_teardown_that_takes_too_long_names_pod_node_and_command() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, broken(67))
    at = after(decide(at), at, attempt(pod(deleting=True), job_uid=None), seconds=299)
    assert decide(at).requeue_after == timedelta(seconds=1)
    at = replace(at, now=at.now + timedelta(seconds=1))
    made = decide(at)
    cleaned = next(one for one in made.status.conditions if one.type == "CleanedUp")
    assert cleaned.reason == "TeardownOverdue"
    assert "pod-0 on node-0" in cleaned.message
    assert "kubectl taint nodes node-0" in cleaned.message
    assert "TeardownOverdue" in [event.reason for event in made.events]
    assert decide(after(made, at, *at.attempts)).events == ()


def test_the_image_is_pinned_at_acceptance() -> None:
    made, at = running(spec())
    at = replace(at, defaults=replace(at.defaults, image="registry.example/trainer:2"))
    done = attempt(exited(of=report(NAME)))
    made, _ = torn_down(decide(after(made, at, done)), at, done)
    assert [start.image for start in made.jobs_to_create] == ["registry.example/trainer:1"]


def test_a_benchmark_without_any_image_is_rejected() -> None:
    at = snapshot(benchmark(spec()))
    made = decide(replace(at, defaults=replace(at.defaults, image="")))
    assert "spec.image" in made.status.conditions[0].message


WAITING: list[tuple[str, PodState, str]] = [
    ("an image", pod(started_at=None, waiting_reason="ImagePullBackOff"), "cannot be pulled"),
    ("a node", pod(scheduled_at=None, started_at=None, unschedulable="0/3"), "finds no node"),
]


@pytest.mark.parametrize(("state", "said"), [w[1:] for w in WAITING], ids=[w[0] for w in WAITING])
def test_a_blocker_shows_from_the_first_moment(state: PodState, said: str) -> None:
    at = snapshot(benchmark(spec(devices=ONE)))
    at = after(decide(at), at, attempt(state))
    made = decide(at)
    assert said in made.status.trials[0].message
    at = after(made, at, attempt(state), seconds=3)
    assert decide(at).status == at.benchmark.status, "waiting writes nothing"
    at = after(made, at, attempt(pod()), seconds=3)
    assert decide(at).status.trials[0].message == ""


DUE: list[tuple[str, dict[str, Any], AttemptState, float, timedelta]] = [
    ("the end of the run", {"totalSeconds": 500}, attempt(pod()), 100, timedelta(seconds=402)),
    ("the start", {"startSeconds": 60}, attempt(pod(started_at=None)), 10, timedelta(seconds=50)),
    ("a node", {"queuedSeconds": 90}, attempt(planned=1), 10, timedelta(seconds=80)),
    (
        "an invalid image name",
        {},
        attempt(pod(started_at=None, waiting_reason="InvalidImageName")),
        4,
        timedelta(seconds=16),
    ),
]


@pytest.mark.parametrize(("limits", "state", "seconds", "wait"), [d[1:] for d in DUE], ids=[d[0] for d in DUE])
def test_the_benchmark_is_requeued_for_its_next_deadline(
    limits: dict[str, Any], state: AttemptState, seconds: float, wait: timedelta
) -> None:
    at = snapshot(benchmark(spec(devices=ONE, limits=limits)))
    at = after(decide(at), at, state, seconds=seconds)
    made = decide(at)
    made = decide(after(made, at, state))
    assert made.requeue_after == wait


def test_a_gang_that_is_still_being_scheduled_has_no_message() -> None:
    asked = spec(devices={"counts": [2], "perPod": 1})
    started = decide(snapshot(benchmark(asked))).status
    bound, coming = pod(0, started_at=None), pod(1, scheduled_at=None, started_at=None, node=None)
    made = decide(snapshot(benchmark(asked, started), attempt(bound, coming)))
    assert made.status.trials[0].message == ""
    unplaced = pod(1, scheduled_at=None, started_at=None, node=None, unschedulable="0/3 nodes")
    made = decide(snapshot(benchmark(asked, started), attempt(bound, unplaced)))
    assert made.status.trials[0].message.startswith("Pod pod-1 finds no node")
