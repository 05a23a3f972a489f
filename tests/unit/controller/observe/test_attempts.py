"""Tests that API objects become the right AttemptStates."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sdbench.api.status import Status, TrialPhase, TrialRow
from sdbench.controller.observe import attempts
from sdbench.controller.observe.pods import pod_state
from sdbench_trainer.report import Report, message
from unit.controller.shapes import benchmark, container, job, pod

BIRTH = datetime(2026, 1, 1, tzinfo=UTC)
OTHER_UID = "99999999-0000-0000-0000-000000000000"
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:09Z"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
OK = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-01T00:00:09Z"}}


@pytest.mark.parametrize(
    ("phase", "status", "holds"),
    [
        ("Pending", {}, True),
        ("Pending", {"containerStatuses": [container(CREATING)]}, True),
        ("Running", {"containerStatuses": [container(RUNNING)]}, True),
        ("Running", {"containerStatuses": [container(OK)]}, False),
        ("Running", {"containerStatuses": [container(OK), container(RUNNING, "sidecar")]}, True),
        ("Succeeded", {"containerStatuses": [container(OK)]}, False),
        ("Failed", {}, False),
        ("Failed", {"containerStatuses": [container(CREATING)]}, False),
        ("Failed", {"containerStatuses": [container(RUNNING)]}, True),
    ],
)
def test_a_pod_holds_devices_until_all_of_it_is_known_to_have_ended(phase: str, status: Any, holds: bool) -> None:
    assert pod_state(pod(phase=phase, **status)).holds_devices is holds


def test_the_master_has_index_0_and_worker_n_index_n_plus_1() -> None:
    assert [pod_state(pod(index)).index for index in (0, 1, 7)] == [0, 1, 7]


def test_a_report_is_read_from_the_termination_message() -> None:
    report = Report(attempt="tiny-40d0b-0-1")
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "message": message(report)}}
    assert pod_state(pod(containerStatuses=[container(ended)])).report == report


def test_a_truncated_report_is_not_read() -> None:
    cut = message(Report(attempt="tiny-40d0b-0-1"))[:-3]
    ended = {"terminated": {"exitCode": 0, "message": cut}}
    assert pod_state(pod(containerStatuses=[container(ended)])).report is None


def test_a_container_that_could_not_be_started_has_not_started() -> None:
    ended = {"terminated": {"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}}
    state = pod_state(pod(phase="Failed", containerStatuses=[container(ended)]))
    assert state.started_at is None
    assert state.exit is not None
    assert state.exit.code == 128


def test_a_failed_init_container_is_the_pods_exit() -> None:
    failed = container({"terminated": {"exitCode": 1, "reason": "Error"}}, "init-pytorch")
    waiting = container({"waiting": {"reason": "PodInitializing"}})
    state = pod_state(pod(phase="Failed", initContainerStatuses=[failed], containerStatuses=[waiting]))
    assert state.exit is not None
    assert "init-pytorch" in state.exit.message
    assert state.waiting_reason == ""


@pytest.mark.parametrize(
    ("status", "fact", "value"),
    [
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3"}]}, "unschedulable", "0/3"),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]},
            "disruption",
            "EvictionByEvictionAPI",
        ),
        ({"phase": "Failed", "reason": "Evicted"}, "disruption", "Evicted"),
        (
            {"containerStatuses": [container({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})]},
            "waiting_message",
            "no such image",
        ),
        ({"containerStatuses": [container(CREATING)]}, "waiting_reason", ""),
    ],
)
def test_a_pod_state_says_what_keeps_the_pod_from_running(status: dict[str, Any], fact: str, value: str) -> None:
    document = pod()
    document["status"] |= status
    assert getattr(pod_state(document), fact) == value


def test_an_attempt_is_read_from_its_job_and_its_pods() -> None:
    ended = {"type": "Failed", "status": "True"}
    (state,) = attempts.attempts(benchmark(), [job(workers=2, conditions=[ended])], [pod(1), pod(0)])
    assert (state.name, state.trial, state.attempt, state.job_uid) == ("tiny-40d0b-0-1", 0, 1, "job-0-1")
    assert (state.planned_pods, state.job_ended, state.created_at) == (3, True, BIRTH)
    assert [one.index for one in state.pods] == [0, 1]


def test_an_attempt_exists_while_a_pod_of_it_does() -> None:
    (state,) = attempts.attempts(benchmark(), [], [pod(1)])
    assert (state.job_uid, state.planned_pods, state.holds_devices) == (None, 2, True)


def test_pods_of_a_deleted_benchmark_of_the_same_name_are_found() -> None:
    (state,) = attempts.attempts(benchmark(), [], [pod(uid=OTHER_UID)])
    assert state.name == "tiny-99999-0-1"
    assert state.holds_devices


def test_objects_with_our_labels_and_another_owner_are_ignored() -> None:
    impostor = job()
    impostor["metadata"]["ownerReferences"] = []
    mislabelled = pod()
    mislabelled["metadata"]["labels"]["sdbench.dev/trial"] = "first"
    assert attempts.attempts(benchmark(), [impostor], [mislabelled]) == ()


@pytest.mark.parametrize("owners", [[], [{"kind": "CronThing", "uid": "x", "name": "y", "controller": True}]])
def test_a_job_of_another_owner_with_an_expected_name_is_foreign(owners: list[dict[str, Any]]) -> None:
    row = TrialRow(
        trial=0, point="devices=1", devices=1, repeat=0, phase=TrialPhase.STARTING, attempt=1, job="tiny-40d0b-0-1"
    )
    one = benchmark().model_copy(update={"status": Status(trials=(row,))})
    foreign = job()
    foreign["metadata"]["ownerReferences"] = owners
    assert attempts.unconfirmed(one, [], []) == ("tiny-40d0b-0-1",)
    (state,) = attempts.attempts(one, [foreign], [])
    assert state.foreign
    assert not state.holds_devices


@pytest.mark.parametrize(
    ("phase", "released_at", "asked_for"),
    [
        (TrialPhase.RUNNING, None, True),
        (TrialPhase.STOPPING, None, True),
        (TrialPhase.SUCCEEDED, None, True),
        (TrialPhase.SUCCEEDED, BIRTH, False),
    ],
)
def test_a_job_that_may_hold_devices_is_read_even_if_a_list_omits_it(
    phase: TrialPhase, released_at: datetime | None, asked_for: bool
) -> None:
    name = "tiny-40d0b-0-1"
    known = {"phase": phase, "attempt": 1, "job": name, "job_uid": "job-0-1", "released_at": released_at}
    row = TrialRow(trial=0, point="devices=1", devices=1, repeat=0).model_copy(update=known)
    one = benchmark().model_copy(update={"status": Status(trials=(row,))})
    assert attempts.unconfirmed(one, [], []) == ((name,) if asked_for else ())
    assert attempts.unconfirmed(one, [job()], []) == ()


def test_the_job_of_a_pod_is_read_if_a_list_omits_it() -> None:
    assert attempts.unconfirmed(benchmark(), [], [pod()]) == ("tiny-40d0b-0-1",)
    assert attempts.unconfirmed(benchmark(), [job()], [pod()]) == ()


@pytest.mark.parametrize(
    ("seconds", "pods", "is_stuck"),
    [
        (1, [], False),
        (9, [], True),
        (9, [pod(containerStatuses=[container(RUNNING)])], False),
        (9, [pod(containerStatuses=[container(CREATING)])], True),
    ],
)
def test_an_attempt_is_stuck_when_it_should_have_started(seconds: int, pods: Any, is_stuck: bool) -> None:
    (state,) = attempts.attempts(benchmark(), [job()], pods)
    assert attempts.is_stuck(state, BIRTH + timedelta(seconds=seconds)) is is_stuck


EVENT = {
    "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
    "involvedObject": {"name": "tiny-40d0b-0-1"},
    "reason": "FailedCreatePod",
    "message": "quota",
    "count": 7,
    "lastTimestamp": "2026-01-01T00:00:30Z",
}


def test_warnings_come_once_and_the_newest_first() -> None:
    def event(at: str, said: str) -> dict[str, Any]:
        about = {"name": "tiny-40d0b-0-1"}
        return {"involvedObject": about, "reason": "FailedCreatePod", "message": said, "lastTimestamp": at}

    warnings = attempts.warnings_about([event("1", "quota"), event("3", "quota"), event("2", "security")])
    assert [warning.message for warning in warnings] == ["quota", "security"]


def test_a_warning_is_as_old_as_its_event() -> None:
    (warning,) = attempts.warnings_about([EVENT])
    assert warning.at == BIRTH


def test_an_attempt_that_a_queue_has_just_admitted_is_not_stuck() -> None:
    resumed = {"type": "Suspended", "status": "False", "lastTransitionTime": "2026-01-01T01:00:00Z"}
    (state,) = attempts.attempts(benchmark(), [job(conditions=[resumed])], [])
    assert not attempts.is_stuck(state, BIRTH + timedelta(seconds=3_607))
    assert attempts.is_stuck(state, BIRTH + timedelta(seconds=3_608))


def live(**row: Any) -> Any:
    """The Benchmark whose first Attempt, of a master and a worker, is wanted."""
    begun = {"phase": TrialPhase.RUNNING, "attempt": 1, "job": "tiny-40d0b-0-1", "job_uid": "job-0-1", **row}
    trial = TrialRow(trial=0, point="devices=2", devices=2, repeat=0, **begun)
    return benchmark().model_copy(update={"status": Status(trials=(trial,))})


def suspended_job(document: dict[str, Any]) -> dict[str, Any]:
    document["spec"]["runPolicy"] = {"suspend": True}
    return document


def deleting(document: dict[str, Any]) -> dict[str, Any]:
    document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:20Z"
    return document


BROKEN = {"terminated": {"exitCode": 69, "reason": "Error"}}

READINGS: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any], bool]] = [
    ("it runs", job(workers=1), [pod(0), pod(1)], {"pods_checksum": "1"}, False),
    ("it starts", job(workers=1), [pod(0)], {}, False),
    ("a pod is being deleted", job(workers=1), [pod(0), deleting(pod(1))], {}, True),
    ("a pod was killed", job(workers=1), [pod(0), pod(1, containerStatuses=[container(BROKEN)])], {}, True),
    ("a pod is gone", job(workers=1), [pod(0)], {"pods_checksum": "1"}, True),
    ("it is suspended", suspended_job(job(workers=1)), [], {}, False),
    (
        "its pods are deleted after a suspension",
        suspended_job(job(workers=1)),
        [deleting(pod(0)), deleting(pod(1))],
        {"pods_checksum": "1"},
        False,
    ),
    ("it is suspended and its pod is left", suspended_job(job(workers=1)), [pod(0)], {}, True),
    ("the job is being deleted", deleting(job(workers=1)), [deleting(pod(0))], {}, False),
    ("the job has failed", job(workers=1, conditions=[{"type": "Failed", "status": "True"}]), [pod(0)], {}, False),
    ("its row is stopping", job(workers=1), [deleting(pod(0))], {"phase": TrialPhase.STOPPING}, False),
]


@pytest.mark.parametrize(
    ("one", "pods", "row", "again"), [case[1:] for case in READINGS], ids=[case[0] for case in READINGS]
)
def test_a_job_is_read_again_if_its_pods_contradict_it(
    one: dict[str, Any], pods: list[dict[str, Any]], row: dict[str, Any], again: bool
) -> None:
    states = attempts.attempts(live(**row), [one], pods)
    assert attempts.possibly_outdated(live(**row), states) == (("tiny-40d0b-0-1",) if again else ())


def test_the_newer_reading_of_a_job_counts_and_a_job_that_is_gone_by_then_stays() -> None:
    assert attempts.with_newer([job()], [suspended_job(job())]) == (suspended_job(job()),)
    assert attempts.with_newer([job()], [None]) == (job(),)
    another = suspended_job(job())
    another["metadata"]["uid"] = "another"
    assert attempts.with_newer([job()], [another]) == (job(),)


@pytest.mark.parametrize(
    ("suspend", "condition", "suspended"),
    [(None, None, False), (True, None, True), (True, "True", True), (False, "True", False), (False, "False", False)],
)
def test_the_spec_says_whether_a_job_is_suspended(suspend: bool | None, condition: str | None, suspended: bool) -> None:
    at = "2026-01-01T00:00:07Z"
    said = [{"type": "Suspended", "status": condition, "lastTransitionTime": at}] if condition else []
    one = job(conditions=said)
    one["spec"]["runPolicy"] = {} if suspend is None else {"suspend": suspend}
    one["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "lab"
    (state,) = attempts.attempts(benchmark(), [one], [])
    assert (state.suspended, state.queue) == (suspended, "lab")
    assert state.suspension_at == (BIRTH + timedelta(seconds=7) if condition else None)


def test_the_events_of_a_suspended_job_are_not_read() -> None:
    (state,) = attempts.attempts(benchmark(), [suspended_job(job())], [])
    assert not attempts.is_stuck(state, BIRTH + timedelta(days=1))
