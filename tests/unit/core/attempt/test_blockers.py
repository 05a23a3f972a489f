"""Tests each blocker of an Attempt, a second before its deadline and when it is due."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sdbench.api.consequences import Consequence
from sdbench.api.reasons import Reason
from sdbench.core.snapshot import AttemptState, PodExit, PodState, WarningEvent
from unit.core.trial.ends import IMAGE, NAME, RUNNING, end_of
from unit.core.worlds import NOON, attempt, exited, pod


def queued(index: int, **changes: Any) -> PodState:
    return pod(index, scheduled_at=None, started_at=None, node=None, **changes)


def waiting(index: int, reason: str = "", message: str = "") -> PodState:
    return pod(index, started_at=None, waiting_reason=reason, waiting_message=message)


def rejected(message: str) -> AttemptState:
    return attempt(planned=2, warnings_about=(WarningEvent(NAME, "FailedCreatePod", message),))


MOUNT = WarningEvent(
    "pod-1", "FailedMount", 'MountVolume.SetUp failed for volume "credentials" : secret "s3" not found'
)
CACHE = replace(MOUNT, message="failed to sync secret cache: timed out waiting for the condition")
QUOTA = 'pods "x" is forbidden: exceeded quota: compute, requested: cpu=4, used: cpu=0, limited: cpu=2'
SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
BUNDLE = WarningEvent(
    "pod-1", "FailedMount", 'MountVolume.SetUp failed for volume "ca-bundle" : configmap "site-ca" not found'
)
BUNDLE_KEY = replace(
    BUNDLE,
    message='MountVolume.SetUp failed for volume "ca-bundle" : configmap references non-existent config key: ca.crt',
)
MESH = replace(BUNDLE, message=BUNDLE.message.replace('"ca-bundle"', '"istiod-ca-cert"'))
BUSY_QUOTA = (
    'Operation cannot be fulfilled on resourcequotas "compute": the object has been modified; '
    "please apply your changes to the latest version and try again"
)
CLAIM = '0/1 nodes are available: persistentvolumeclaim "shards" not found.'

STUCK: list[tuple[str, AttemptState, int, Reason, str]] = [
    ("quota", rejected(QUOTA), 20, Reason.PODS_FORBIDDEN, "exceeded quota: compute"),
    ("Pod Security", rejected(SECURITY), 20, Reason.PODS_FORBIDDEN, "runAsNonRoot"),
    ("a webhook that is down", rejected("failed calling webhook"), 86_400, Reason.PODS_FORBIDDEN, "webhook"),
    ("no such claim", attempt(queued(0, unschedulable=CLAIM), queued(1)), 20, Reason.DATA_MISSING, "shards"),
    ("no node", attempt(queued(0, unschedulable="0/3 nodes"), queued(1)), 86_400, Reason.UNSCHEDULABLE, "0/3 nodes"),
    (
        "a partial gang",
        attempt(queued(0, unschedulable="0/3"), pod(1)),
        300,
        Reason.UNSCHEDULABLE,
        "pod-0 finds no node",
    ),
    ("a gang with missing pods", attempt(pod(0), planned=2), 300, Reason.UNSCHEDULABLE, "1 of 2 pods hold devices"),
    ("suspended by a queue", attempt(planned=2, suspended=True, queue="lab"), 86_400, Reason.NOT_ADMITTED, "queue lab"),
    (
        "suspended by a person",
        attempt(planned=2, suspended=True),
        86_400,
        Reason.NOT_ADMITTED,
        "spec.runPolicy.suspend",
    ),
    ("not scheduled", attempt(queued(0), planned=2), 86_400, Reason.DEADLINE_EXCEEDED, "limits.queuedSeconds"),
    ("an invalid image name", attempt(waiting(0, "InvalidImageName"), pod(1)), 20, Reason.IMAGE_PULL, IMAGE),
    ("an image that is never pulled", attempt(waiting(0, "ErrImageNeverPull"), pod(1)), 20, Reason.IMAGE_PULL, IMAGE),
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
    ("no such Secret to mount", attempt(pod(0), waiting(1), warnings_about=(MOUNT,)), 20, Reason.SECRET_MISSING, "s3"),
    (
        "no CA bundle",
        attempt(pod(0), waiting(1), warnings_about=(BUNDLE,)),
        20,
        Reason.SECRET_MISSING,
        "ConfigMap site-ca",
    ),
    (
        "a CA bundle without its key",
        attempt(pod(0), waiting(1), warnings_about=(BUNDLE_KEY,)),
        20,
        Reason.SECRET_MISSING,
        "the key ca.crt",
    ),
    (
        "another owner's ConfigMap, which may still appear",
        attempt(pod(0), waiting(1), warnings_about=(MESH,)),
        1_800,
        Reason.DEADLINE_EXCEEDED,
        "startSeconds",
    ),
    (
        "a slow Secret",
        attempt(pod(0), waiting(1), warnings_about=(CACHE,)),
        1_800,
        Reason.DEADLINE_EXCEEDED,
        "startSeconds",
    ),
    (
        "an image that runs as root",
        attempt(waiting(0, "CreateContainerConfigError", "image will run as root"), pod(1)),
        20,
        Reason.CONFIG_INVALID,
        "will run as root",
    ),
    ("slow start", attempt(waiting(0), pod(1)), 1_800, Reason.DEADLINE_EXCEEDED, "limits.startSeconds"),
    ("a run without an end", RUNNING, 86_402, Reason.DEADLINE_EXCEEDED, "limits.totalSeconds"),
]


@pytest.mark.parametrize(("state", "seconds", "reason", "named"), [s[1:] for s in STUCK], ids=[s[0] for s in STUCK])
def test_a_blocker_ends_the_attempt_exactly_when_it_is_due(
    state: AttemptState, seconds: int, reason: Reason, named: str
) -> None:
    assert end_of(state, seconds=seconds - 1) is None
    end = end_of(state, seconds=seconds)
    assert end is not None
    assert end.reason is reason
    assert named in end.message


def test_the_deadline_of_a_remaining_pod_counts_from_the_first_end_that_was_seen() -> None:
    state = attempt(exited(0), pod(1))
    assert end_of(state, seconds=9_999) is None
    assert end_of(state, seconds=759, ended_at=NOON + timedelta(seconds=100)) is None
    end = end_of(state, seconds=760, ended_at=NOON + timedelta(seconds=100))
    assert end is not None
    assert (end.reason, end.limit_over, "Pod pod-1 runs on" in end.message) == (Reason.STALLED, True, True)


@pytest.mark.parametrize(
    ("said", "row", "due"),
    [
        (300, {}, 86_700),
        (300, {"started_at": NOON + timedelta(seconds=305)}, 86_700),
        (-1_200, {}, 86_400),
        (-1_200, {"started_at": NOON + timedelta(seconds=305)}, 86_705),
        (1_500, {"started_at": NOON + timedelta(seconds=305)}, 86_705),
    ],
    ids=["right", "right, and seen", "slow", "slow, and seen", "fast, and seen"],
)
def test_a_nodes_wrong_clock_shortens_a_run_by_at_most_the_time_its_pods_took_to_start(
    said: int, row: dict[str, Any], due: int
) -> None:
    state = attempt(pod(0, started_at=NOON + timedelta(seconds=said)), pod(1, started_at=NOON + timedelta(hours=1)))
    assert end_of(state, seconds=due - 1, **row) is None
    end = end_of(state, seconds=due, **row)
    assert end is not None
    assert (end.reason, "limits.totalSeconds" in end.message) == (Reason.DEADLINE_EXCEEDED, True)


def test_an_old_warning_event_is_ignored_once_the_pods_exist() -> None:
    state = replace(rejected(QUOTA), pods=(pod(0), pod(1)))
    assert end_of(state, seconds=600) is None


ACCOUNT = 'pods "x" is forbidden: error looking up service account lab/{0}: serviceaccount "{0}" not found'
TIMED_OUT = exited(0, 66)
UNPLACED = queued(1, unschedulable="0/3 nodes")


@pytest.mark.parametrize(
    ("state", "row", "reason"),
    [
        (attempt(TIMED_OUT, UNPLACED), {}, Reason.UNSCHEDULABLE),
        (attempt(TIMED_OUT, planned=2), {}, Reason.UNSCHEDULABLE),
        (attempt(TIMED_OUT, pod(1)), {}, Reason.RENDEZVOUS_TIMEOUT),
        (attempt(TIMED_OUT, planned=2), {"scheduled_at": NOON}, Reason.RENDEZVOUS_TIMEOUT),
        (attempt(TIMED_OUT, planned=2), {"pods_checksum": "1"}, Reason.RENDEZVOUS_TIMEOUT),
    ],
)
def test_a_missed_rendezvous_is_not_a_failure_while_pods_have_no_node(
    state: AttemptState, row: dict[str, Any], reason: Reason
) -> None:
    end = end_of(state, **row)
    assert end is not None
    assert end.reason is reason
    assert (end.consequence is Consequence.BACKS_OFF) is (reason is Reason.UNSCHEDULABLE)


MASTERLESS = pod(1, started_at=None, exit=PodExit(1, "Error", "init container init-pytorch failed", before_start=True))
PULLING = waiting(1, "ErrImagePull", "401")


@pytest.mark.parametrize(
    ("state", "reason", "named", "when_final"),
    [
        (attempt(TIMED_OUT, PULLING), Reason.IMAGE_PULL, IMAGE, Consequence.STOPS_SWEEP),
        (attempt(TIMED_OUT, waiting(1)), Reason.DEADLINE_EXCEEDED, "Pod pod-1 does not run", Consequence.ENDS_POINT),
        (
            attempt(TIMED_OUT, waiting(1), waiting(2, "ErrImagePull", "401")),
            Reason.IMAGE_PULL,
            "401",
            Consequence.STOPS_SWEEP,
        ),
        (attempt(waiting(0, "ErrImagePull"), MASTERLESS), Reason.IMAGE_PULL, IMAGE, Consequence.STOPS_SWEEP),
        (attempt(waiting(0), MASTERLESS), Reason.DEADLINE_EXCEEDED, "Pod pod-0 does not run", Consequence.ENDS_POINT),
    ],
)
def test_a_missed_rendezvous_is_blamed_on_the_blocker_of_the_pod_that_never_started(
    state: AttemptState, reason: Reason, named: str, when_final: Consequence
) -> None:
    first, last = (end_of(state, seconds=600, ended_at=NOON, failures=failures) for failures in (0, 2))
    assert first is not None
    assert (first.reason, first.consequence) == (reason, Consequence.RETRIED)
    assert named in first.message
    assert "has given up waiting for it" in first.message
    assert "is over" not in first.message
    assert last is not None
    assert (last.reason, last.consequence) == (reason, when_final)


def test_an_expired_limit_is_the_reason_even_if_a_pod_has_given_up_waiting() -> None:
    end = end_of(attempt(TIMED_OUT, waiting(1)), seconds=1_800)
    assert end is not None
    assert (end.reason, end.consequence) == (Reason.DEADLINE_EXCEEDED, Consequence.ENDS_POINT)
    assert "limits.startSeconds, 1800 s, is over" in end.message


@pytest.mark.parametrize(
    "state",
    [attempt(UNPLACED, planned=1), attempt(queued(0), UNPLACED), attempt(planned=2), RUNNING],
    ids=["one pod", "none is scheduled", "none exists", "all are scheduled"],
)
def test_only_a_partial_gang_gives_its_devices_back(state: AttemptState) -> None:
    assert end_of(state, seconds=3_000) is None


def test_the_gang_timeout_counts_from_the_last_scheduled_pod() -> None:
    late = attempt(pod(0), pod(2, scheduled_at=NOON + timedelta(seconds=200), started_at=None), UNPLACED)
    assert end_of(late, seconds=499) is None
    gang = end_of(late, seconds=500)
    assert gang is not None
    assert gang.consequence is Consequence.BACKS_OFF


@pytest.mark.parametrize(
    ("said", "consequence", "seconds"),
    [
        (QUOTA, Consequence.ENDS_POINT, 20),
        ("pods is forbidden: maximum memory usage per Container is 2Gi", Consequence.ENDS_POINT, 20),
        (SECURITY, Consequence.STOPS_SWEEP, 20),
        (ACCOUNT.format("default"), Consequence.STOPS_SWEEP, 86_400),
        (ACCOUNT.format("trainer"), Consequence.STOPS_SWEEP, 20),
        (ACCOUNT.format("default-trainer"), Consequence.STOPS_SWEEP, 20),
        ("failed calling webhook", Consequence.STOPS_SWEEP, 86_400),
        (BUSY_QUOTA, Consequence.STOPS_SWEEP, 86_400),
        ('pods "x" is forbidden: status unknown for quota: new, resources: pods', Consequence.STOPS_SWEEP, 86_400),
        ('admission webhook "gpu-quota.policies.example" is not there', Consequence.STOPS_SWEEP, 86_400),
        ("insufficient quota to match these scopes: [{PriorityClass In [high]}]", Consequence.ENDS_POINT, 20),
    ],
)
def test_a_rejected_amount_ends_the_point_and_any_other_rejection_the_sweep(
    said: str, consequence: Consequence, seconds: int
) -> None:
    assert end_of(rejected(said), seconds=seconds - 1) is None
    end = end_of(rejected(said), seconds=seconds)
    assert end is not None
    assert (end.reason, end.consequence) == (Reason.PODS_FORBIDDEN, consequence)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "state",
    [
        replace(rejected(QUOTA), suspension_at=NOON + HOUR),
        replace(rejected(QUOTA), warnings_about=(WarningEvent(NAME, "FailedCreatePod", QUOTA, NOON + HOUR),)),
        attempt(queued(0, unschedulable=CLAIM), queued(1), suspension_at=NOON + HOUR),
    ],
    ids=["admitted", "first rejected", "admitted, and no claim"],
)
def test_deadlines_count_from_the_moment_at_which_a_queue_admitted_the_job(state: AttemptState) -> None:
    assert end_of(state, seconds=3_600 + 19) is None
    end = end_of(state, seconds=3_600 + 20)
    assert end is not None
    assert end.reason in {Reason.PODS_FORBIDDEN, Reason.DATA_MISSING}


def test_a_slow_start_quotes_the_pods_warning_events() -> None:
    sandbox = WarningEvent("pod-1", "FailedCreatePodSandBox", "no network for the pod")
    end = end_of(attempt(pod(0), waiting(1), warnings_about=(sandbox,)), seconds=1_800)
    assert end is not None
    assert "limits.startSeconds, 1800 s, is over" in end.message
    assert "no network for the pod" in end.message


def test_a_missing_pull_secret_is_reported_with_the_image() -> None:
    secret = WarningEvent(
        "pod-0", "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred)"
    )
    end = end_of(attempt(waiting(0, "ErrImagePull", "401"), pod(1), warnings_about=(secret,)), seconds=1_800)
    assert end is not None
    assert (end.reason, "regcred" in end.message, IMAGE in end.message) == (Reason.IMAGE_PULL, True, True)
