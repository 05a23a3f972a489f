"""Detects what keeps an Attempt from starting or ending, and when to give up.

| blocker | seen as | reason | given up |
|---|---|---|---|
| a queue holds the job | suspended | NotAdmitted | limits.queuedSeconds after creation |
| Pod Security rejects the pods | FailedCreatePod, pods missing | PodsForbidden | 20 s after the Event |
| the pods exceed a quota, a LimitRange | FailedCreatePod, pods missing | PodsForbidden (Point) | 20 s later |
| the pods' ServiceAccount does not exist | FailedCreatePod, pods missing | PodsForbidden | 20 s after the Event |
| the pods cannot be created otherwise | FailedCreatePod, pods missing | PodsForbidden | limits.queuedSeconds later |
| a claim does not exist | unschedulable: persistentvolumeclaim not found | DataMissing | 20 s after admission |
| no node has room for a pod | unschedulable, pods missing | Unschedulable | limits.queuedSeconds after creation |
| a partial gang holds devices | some pods scheduled, not all | Unschedulable (backs off) | limits.gangSeconds later |
| a wrong or forbidden image name | InvalidImageName, ErrImageNeverPull | ImagePull | 20 s after scheduling |
| a Secret does not exist | CreateContainerConfigError, FailedMount naming it | SecretMissing | 20 s after scheduling |
| the CA bundle's ConfigMap does not exist | FailedMount of its volume | SecretMissing | 20 s after scheduling |
| the container cannot be created | CreateContainerConfigError otherwise | ConfigInvalid | 20 s after scheduling |
| the image is not pulled | ErrImagePull, ImagePullBackOff | ImagePull | limits.startSeconds after scheduling |
| a container does not run | none of the above | DeadlineExceeded | limits.startSeconds after scheduling |
| a pod outlasts another | one ended well, another still runs | Stalled | limits.stallSeconds and 60 s later |
| the run does not end | its pods' watchdogs did not end it | DeadlineExceeded | limits.totalSeconds after start |

A blocker that only a person can remove is reported after 20 s. A registry may recover and a node may be added, so those
have the limits that the person set. The row shows a blocker from the first moment. Limits of a run in progress
(rendezvous, first step, stall) are kept inside the pods; the last two rows end a PID 1 that hangs itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.consequences import Consequence
from sdbench.api.reasons import Reason, with_remedy
from sdbench.api.spec import Limits
from sdbench.api.status import TrialRow
from sdbench.api.workload import CA_VOLUME
from sdbench.core.attempt.facts import container_started_at, unsuspended_since
from sdbench.core.snapshot import AttemptState, PodState, WarningEvent

STUCK_SECONDS = 20
"""How long a blocker that only a person can remove may last: Events and the kubelet's status lag a little."""

OUTLASTING_SECONDS = 60
"""How much longer than its watchdog's limit a pod may outlast another that ended well."""

# A message also quotes names, so only the API server's own words may match. Names of objects, quotas and webhooks are
# in quotation marks, or hold neither blanks nor `: `.
FORBIDDEN = re.compile("is forbidden: ")
BY_QUOTA = re.compile(
    f"{FORBIDDEN.pattern}(?:exceeded quota|failed quota|insufficient quota to consume): "
    "|^(?:.*: )?insufficient quota to match these scopes: "
)
UNCOUNTED_QUOTA = re.compile(f"{FORBIDDEN.pattern}status unknown for quota: ")
"""A new quota whose use is still being counted."""

WRONG_IMAGE = {"InvalidImageName", "ErrImageNeverPull"}
UNPULLED_IMAGE = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
UNMADE_CONTAINER = {"CreateContainerConfigError"}
MISSING_SECRET = re.compile(r'secrets? "([^"]+)" not found|references non-existent secret key: (\S+)')
MISSING_BUNDLE = re.compile(
    f'"{CA_VOLUME}" : configmap (?:"([^"]+)" not found|references non-existent config key: (\\S+))'
)
MISSING_ACCOUNT = re.compile(r'serviceaccount "(?!default")([^"]+)" not found')
"""A ServiceAccount other than the namespace's own, which Kubernetes creates by itself."""

MISSING_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
MAY_PASS = re.compile(f"error looking up service account|being terminated|{UNCOUNTED_QUOTA.pattern}")
"""Rejections that are not about the pods themselves, and may pass."""


@dataclass(frozen=True)
class Blocker:
    """Something that keeps an Attempt from starting or ending."""

    reason: Reason
    brief: str
    """A sentence that stays the same while the blocker does: the row shows it meanwhile."""
    detail: str
    """What the cluster said."""
    due: datetime
    """When to give up."""
    consequence: Consequence
    limit: str = ""
    """The limit that is over when it is due."""

    @property
    def sentence(self) -> str:
        """The message once it is due."""
        detail = f"{self.limit} {self.detail}".strip()
        return f"{self.brief}: {detail}" if detail else self.brief


def blockers(row: TrialRow, state: AttemptState, limits: Limits, image: str) -> tuple[Blocker, ...]:
    """Everything that blocks the Attempt, the most telling first."""
    if state.suspended:
        # Waiting in a queue is not run time. The operator never writes to the job: whoever holds it admits it.
        what = f"Waits for admission by {suspended_by(state)}"
        # The queue says why in an object that the operator may not read.
        detail = f"{_over('queuedSeconds', limits.queued_seconds)}; `kubectl describe workloads` tells why"
        return (blocker(Reason.NOT_ADMITTED, what, detail, state.created_at, limits.queued_seconds),)
    return (
        # Pods that are rejected show nowhere but in Events.
        *_pods_not_created(state, limits),
        *_pods_not_scheduled(state, limits),
        # Two Attempts that each hold a part of what they need would wait for each other for ever.
        *_partial_gang(row, state, limits),
        *unstarted_pods(state, limits, image),
        # The pods' own watchdogs end a run that hangs; these two end what a watchdog did not.
        *_outlasting(row, state, limits),
        *_over_total(row, state, limits),
    )


def visible_blocker(row: TrialRow, state: AttemptState, limits: Limits, image: str) -> Blocker | None:
    """The blocker to show while the Attempt waits: a mere deadline, or a partial gang for a moment, is not news."""
    for found in blockers(row, state, limits, image):
        if found.reason is not Reason.DEADLINE_EXCEEDED and found.consequence is not Consequence.BACKS_OFF:
            return found
    return None


def blocker(reason: Reason, what: str, detail: str, since: datetime, seconds: int, limit: str = "") -> Blocker:
    """A Blocker with the usual remedy and consequence of its reason."""
    due = since + timedelta(seconds=seconds)
    return Blocker(reason, with_remedy(reason, what), detail, due, reason.consequence, limit)


def suspended_by(state: AttemptState) -> str:
    """The holder of a suspended job, as a part of a sentence."""
    return f"queue {state.queue}" if state.queue else "somebody who suspended the job (spec.runPolicy.suspend)"


def _pods_not_created(state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    # An old rejection does not hold any more once all pods are there.
    if len(state.pods) < state.planned_pods:
        for warning in state.warnings_about:
            if warning.reason == "FailedCreatePod":
                yield _rejection(state, warning, limits)


def _rejection(state: AttemptState, warning: WarningEvent, limits: Limits) -> Blocker:
    message = warning.message
    # Counted from the rejection, or from when the job was let go: pods that must make room may count a little longer.
    since = max(unsuspended_since(state), warning.at or unsuspended_since(state))
    due, consequence = since + timedelta(seconds=STUCK_SECONDS), Consequence.STOPS_SWEEP
    if account := MISSING_ACCOUNT.search(message):
        who = f"The ServiceAccount {account[1]}"
        brief = f"{who}, which the administrator fixed for the pods, does not exist; create it"
    elif MAY_PASS.search(message) or not (FORBIDDEN.search(message) or BY_QUOTA.search(message)):
        # Not about these pods: a webhook that does not answer, or a namespace that is being set up.
        brief = "The pods cannot be created; it is tried again and again"
        due = state.created_at + timedelta(seconds=limits.queued_seconds)
    elif "PodSecurity" in message:
        # The level holds for every pod, whatever its Point asks for.
        brief = "Pod Security of the namespace refuses the pods; relax its level or use another namespace"
    else:
        # A rule about amounts: a Point that asks for less may still fit.
        consequence = Consequence.ENDS_POINT
        brief = "The namespace refuses the pods; ask for less, or have its rules changed"
        if BY_QUOTA.search(message):
            brief = "A quota of the namespace has no room for the pods; raise it or ask for fewer devices"
    return Blocker(Reason.PODS_FORBIDDEN, brief, message, due, consequence)


def _pods_not_scheduled(state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    since, seconds = state.created_at, limits.queued_seconds
    waiting = [pod for pod in state.pods if pod.scheduled_at is None and pod.exit is None]
    # First, since its pod is unschedulable as well, and the missing claim tells more.
    for pod in waiting:
        if claim := MISSING_CLAIM.search(pod.unschedulable):
            brief = f"The claim {claim[1]} does not exist; create it or correct spec.data.claim"
            due = unsuspended_since(state) + timedelta(seconds=STUCK_SECONDS)
            yield Blocker(Reason.DATA_MISSING, brief, "", due, Reason.DATA_MISSING.consequence)
    for pod in waiting:
        if pod.unschedulable:
            detail = f"{pod.unschedulable} (limits.queuedSeconds is {seconds})"
            yield blocker(Reason.UNSCHEDULABLE, f"Pod {pod.name} finds no node", detail, since, seconds)
    if waiting or len(state.pods) < state.planned_pods:
        what, detail = f"Not all of {state.planned_pods} pods are scheduled", _over("queuedSeconds", seconds)
        yield blocker(Reason.DEADLINE_EXCEEDED, what, detail, since, seconds)


def _partial_gang(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    if gang := partial_gang(row, state):
        last = max(pod.scheduled_at for pod in state.pods if pod.scheduled_at is not None)
        due = max(last, state.created_at) + timedelta(seconds=limits.gang_seconds)
        detail = _over("gangSeconds", limits.gang_seconds)
        yield Blocker(Reason.UNSCHEDULABLE, gang, detail, due, Consequence.BACKS_OFF)


def partial_gang(row: TrialRow, state: AttemptState) -> str:
    """A sentence about pods that hold devices while others are not scheduled; empty if all or none are."""
    bound = [pod for pod in state.pods if pod.scheduled_at is not None]
    lost_a_pod = row.pods_checksum is not None and len(state.pods) < state.planned_pods
    if not bound or len(bound) >= state.planned_pods or row.scheduled_at is not None or lost_a_pod:
        return ""
    others = "others are not there"
    if unbound := next((pod for pod in state.pods if pod.scheduled_at is None), None):
        others = f"pod {unbound.name} finds no node" + (f" ({unbound.unschedulable})" if unbound.unschedulable else "")
    return (
        f"{len(bound)} of {state.planned_pods} pods hold devices while {others}; they are given back and the trial is "
        "tried again later"
    )


def unstarted_pods(state: AttemptState, limits: Limits, image: str) -> Iterator[Blocker]:
    """The blockers of pods that are bound to a node and do not run yet."""
    for pod in state.pods:
        if pod.scheduled_at is not None and pod.started_at is None and pod.exit is None:
            yield from _container_not_created(pod, pod.scheduled_at, state, image)
            yield from _container_not_started(pod, pod.scheduled_at, state, limits, image)


def _warnings(pod: PodState, state: AttemptState, reason: str = "") -> list[str]:
    return [one.message for one in state.warnings_about if one.about == pod.name and one.reason.startswith(reason)]


def _container_not_created(pod: PodState, since: datetime, state: AttemptState, image: str) -> Iterator[Blocker]:
    """Blockers that only a person can remove."""
    for message in (pod.waiting_message, *_warnings(pod, state, "FailedMount")):
        if secret := MISSING_SECRET.search(message):
            missing = f"The Secret {secret[1]} does not exist" if secret[1] else f"A Secret lacks the key {secret[2]}"
            yield blocker(Reason.SECRET_MISSING, missing, f"pod {pod.name}", since, STUCK_SECONDS)
        if bundle := MISSING_BUNDLE.search(message):
            # The author did not ask for the bundle and may not know of it, so the usual remedy would mislead.
            what = f"ConfigMap {bundle[1]} does not exist" if bundle[1] else f"ConfigMap lacks the key {bundle[2]}"
            brief = f"The administrator's CA bundle cannot be mounted: its {what}; create it in this namespace"
            due = since + timedelta(seconds=STUCK_SECONDS)
            yield Blocker(Reason.SECRET_MISSING, brief, f"pod {pod.name}", due, Reason.SECRET_MISSING.consequence)
    if pod.waiting_reason in WRONG_IMAGE:
        what = f"The image {image} cannot be used ({pod.waiting_reason})"
        yield blocker(Reason.IMAGE_PULL, what, pod.waiting_message, since, STUCK_SECONDS)
    if pod.waiting_reason in UNMADE_CONTAINER:
        what = f"The container of pod {pod.name} cannot be made from image {image}"
        yield blocker(Reason.CONFIG_INVALID, what, pod.waiting_message, since, STUCK_SECONDS)


def _container_not_started(
    pod: PodState, since: datetime, state: AttemptState, limits: Limits, image: str
) -> Iterator[Blocker]:
    """Blockers that may pass within limits.startSeconds."""
    if pod.waiting_reason in UNPULLED_IMAGE:
        # A pull Secret that does not exist is only mentioned: some images need none.
        message = " ".join((pod.waiting_message, *_warnings(pod, state, "FailedToRetrieveImagePullSecret")[:1]))
        what = f"The image {image} cannot be pulled"
        yield blocker(Reason.IMAGE_PULL, what, f"pod {pod.name}: {message}", since, limits.start_seconds)
    message = " ".join(filter(None, (pod.waiting_reason, pod.waiting_message, *_warnings(pod, state)[:1])))
    limit, what = _over("startSeconds", limits.start_seconds), f"Pod {pod.name} does not run yet"
    yield blocker(Reason.DEADLINE_EXCEEDED, what, message, since, limits.start_seconds, limit)


def _outlasting(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    """Ranks end together, and otherwise each pod's own watchdog ends it: a pod that runs on hangs as a whole."""
    ended_well = any(pod.exit is not None and pod.exit.code == 0 for pod in state.pods)
    running = [pod for pod in state.pods if pod.exit is None and pod.started_at is not None]
    # Counted from the row's time: a kubelet's clock may be wrong.
    if ended_well and running and row.ended_at is not None:
        seconds = limits.stall_seconds + OUTLASTING_SECONDS
        what = f"Pod {running[0].name} runs on though others have ended well"
        yield blocker(Reason.STALLED, what, _over("stallSeconds", limits.stall_seconds), row.ended_at, seconds)


def _over_total(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    starts = [start for pod in state.pods if (start := container_started_at(pod, row.started_at)) is not None]
    if starts:
        running = next((f": pod {pod.name} runs" for pod in state.pods if pod.exit is None), "")
        detail = f"{_over('totalSeconds', limits.total_seconds)}{running}"
        yield blocker(Reason.DEADLINE_EXCEEDED, "The run does not end", detail, min(starts), limits.total_seconds)


def _over(limit: str, seconds: int) -> str:
    return f"limits.{limit}, {seconds} s, is over"
