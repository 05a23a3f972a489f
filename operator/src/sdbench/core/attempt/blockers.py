"""What stands in the way of an Attempt, and until when is that borne? Hindrances, each with the moment of giving up.

| hindrance | seen as | reason | given up |
|---|---|---|---|
| a queue holds the job | suspended | NotAdmitted | limits.queuedSeconds after creation |
| pods are refused by Pod Security | FailedCreatePod, pods missing | PodsForbidden | 20 s after the Event |
| pods exceed a quota, a LimitRange | FailedCreatePod, pods missing | PodsForbidden (Point) | 20 s after the Event |
| the pods' ServiceAccount does not exist | FailedCreatePod, pods missing | PodsForbidden | 20 s after the Event |
| pods cannot be made otherwise | FailedCreatePod, pods missing | PodsForbidden | limits.queuedSeconds after creation |
| a claim does not exist | unschedulable: persistentvolumeclaim not found | DataMissing | 20 s after admission |
| no place for a pod | unschedulable, pods missing | Unschedulable | limits.queuedSeconds after creation |
| half a gang holds devices | some pods scheduled, not all | Unschedulable (backs off) | limits.gangSeconds later |
| a wrong or forbidden image name | InvalidImageName, ErrImageNeverPull | ImagePull | 20 s after scheduling |
| a Secret does not exist | CreateContainerConfigError, FailedMount naming it | SecretMissing | 20 s after scheduling |
| the CA bundle's ConfigMap does not exist | FailedMount of its volume | SecretMissing | 20 s after scheduling |
| the container cannot be made | CreateContainerConfigError otherwise | ConfigInvalid | 20 s after scheduling |
| the image is not pulled | ErrImagePull, ImagePullBackOff | ImagePull | limits.startSeconds after scheduling |
| a container does not run | nothing of the above | DeadlineExceeded | limits.startSeconds after scheduling |
| a pod outlasts another | one ended well, one runs on | Stalled | limits.stallSeconds and 60 s after that is seen |
| the run does not end | the pods' own watchdogs did not end it | DeadlineExceeded | limits.totalSeconds after start |

"After admission" is after the job's creation, or after the last moment at which a queue let it go. That moment is one
of the job's conditions, which the training-operator writes only after all pods are made: so refusals have their own.

Causes that only a person can remove are told at once. A registry may recover, a node may be added: those have
the limits that the person set. What is in the way shows in the row from the first moment. The limits of a run that
goes on (rendezvous, first step, progress) are kept inside the pods; a PID 1 that hangs itself is ended by the last two.

With which words does the API server refuse an object? A sentence quotes names, too: only its own words count.

Names of objects, quotas and webhooks are in quotation marks, or hold neither blanks nor `: `.
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
"""How long a hindrance that only a person can remove is borne: Events and the kubelet's word may lag a little."""

OUTLASTING_SECONDS = 60
"""How much longer than its watchdog's limit a pod may outlast another that ended well."""

FORBIDDEN = re.compile("is forbidden: ")
BY_QUOTA = re.compile(
    f"{FORBIDDEN.pattern}(?:exceeded quota|failed quota|insufficient quota to consume): "
    "|^(?:.*: )?insufficient quota to match these scopes: "
)
UNCOUNTED_QUOTA = re.compile(f"{FORBIDDEN.pattern}status unknown for quota: ")
"""A quota that was just made; its use is being counted."""

WRONG_IMAGE = {"InvalidImageName", "ErrImageNeverPull"}
UNPULLED_IMAGE = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
UNMADE_CONTAINER = {"CreateContainerConfigError"}
MISSING_SECRET = re.compile(r'secrets? "([^"]+)" not found|references non-existent secret key: (\S+)')
MISSING_BUNDLE = re.compile(
    f'"{CA_VOLUME}" : configmap (?:"([^"]+)" not found|references non-existent config key: (\\S+))'
)
MISSING_ACCOUNT = re.compile(r'serviceaccount "(?!default")([^"]+)" not found')
"""Another than the namespace's own, which comes by itself."""

MISSING_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
MAY_PASS = re.compile(f"error looking up service account|being terminated|{UNCOUNTED_QUOTA.pattern}")
"""What a refusal says that is none of the pods' own: it may pass."""


@dataclass(frozen=True)
class Blocker:
    """Something in the way of an Attempt."""

    reason: Reason
    brief: str
    """A sentence that stays the same while the hindrance does: what the row shows meanwhile."""
    detail: str
    """What the cluster said."""
    due: datetime
    consequence: Consequence
    over: str = ""
    """Which limit is over when it is due."""

    @property
    def sentence(self) -> str:
        """Once it is due."""
        said = f"{self.over} {self.detail}".strip()
        return f"{self.brief}: {said}" if said else self.brief


def blockers(row: TrialRow, state: AttemptState, limits: Limits, image: str) -> tuple[Blocker, ...]:
    """Everything in the way, the most telling first."""
    if state.suspended:
        return (_held(state, limits),)
    before_start = (
        *_before_pods(state, limits),
        *_in_the_queue(row, state, limits),
        *unstarted_pods(state, limits, image),
    )
    return (*before_start, *_outlasting(row, state, limits), *_total(row, state, limits))


def visible_blocker(row: TrialRow, state: AttemptState, limits: Limits, image: str) -> Blocker | None:
    """The blocker to show while the Attempt waits: a mere deadline, or a partial gang for a moment, is not news."""
    found = blockers(row, state, limits, image)
    return next(
        (
            one
            for one in found
            if one.reason is not Reason.DEADLINE_EXCEEDED and one.consequence is not Consequence.BACKS_OFF
        ),
        None,
    )


def blocker(reason: Reason, what: str, detail: str, since: datetime, seconds: int, over: str = "") -> Blocker:
    """With the usual remedy and consequence of its reason."""
    due = since + timedelta(seconds=seconds)
    return Blocker(reason, with_remedy(reason, what), detail, due, reason.consequence, over)


def suspended_by(state: AttemptState) -> str:
    """Who holds a suspended job, as a part of a sentence. Why a queue does is said where the operator may not look."""
    return f"queue {state.queue}" if state.queue else "somebody who suspended the job (spec.runPolicy.suspend)"


def _held(state: AttemptState, limits: Limits) -> Blocker:
    """Waiting in a queue is no run time, and the operator never writes to the job: whoever holds it lets it go."""
    what = f"Waits for admission by {suspended_by(state)}"
    detail = f"limits.queuedSeconds, {limits.queued_seconds} s, is over; `kubectl describe workloads` tells why"
    return blocker(Reason.NOT_ADMITTED, what, detail, state.created_at, limits.queued_seconds)


def _before_pods(state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    """Refused pods show nowhere but in Events."""
    if len(state.pods) >= state.planned_pods:
        return
    for complaint in state.warnings_about:
        if complaint.reason == "FailedCreatePod":
            yield _refusal(state, complaint, limits)


def _refusal(state: AttemptState, complaint: WarningEvent, limits: Limits) -> Blocker:
    """Pods of those that must make room for these may still count for some seconds."""
    said, free = complaint.message, unsuspended_since(state)
    stuck = max(free, complaint.at or free) + timedelta(seconds=STUCK_SECONDS)
    if account := MISSING_ACCOUNT.search(said):
        brief = (
            f"The ServiceAccount {account[1]}, which the administrator fixed for the pods, does not exist; create it"
        )
        return Blocker(Reason.PODS_FORBIDDEN, brief, said, stuck, Consequence.STOPS_SWEEP)
    final = FORBIDDEN.search(said) or BY_QUOTA.search(said)
    if MAY_PASS.search(said) or not final:
        brief = "The pods cannot be created; it is tried again and again"
        due = state.created_at + timedelta(seconds=limits.queued_seconds)
        return Blocker(Reason.PODS_FORBIDDEN, brief, said, due, Consequence.STOPS_SWEEP)
    if "PodSecurity" in said:
        brief = "Pod Security of the namespace refuses the pods; relax its level or use another namespace"
        return Blocker(Reason.PODS_FORBIDDEN, brief, said, stuck, Consequence.STOPS_SWEEP)
    brief = "The namespace refuses the pods; ask for less, or have its rules changed"
    if BY_QUOTA.search(said):
        brief = "A quota of the namespace has no room for the pods; raise it or ask for fewer devices"
    # Rules about amounts: a Point that asks for less may still fit.
    return Blocker(Reason.PODS_FORBIDDEN, brief, said, stuck, Consequence.ENDS_POINT)


def _in_the_queue(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    since, seconds = state.created_at, limits.queued_seconds
    waiting = [pod for pod in state.pods if pod.scheduled_at is None and pod.exit is None]
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
    yield from _half_a_gang(row, state, limits)


def _half_a_gang(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    """Pods that hold devices while others find none; two such Attempts would wait for each other for ever."""
    gang = partial_gang(row, state)
    if gang:
        last = max(pod.scheduled_at for pod in state.pods if pod.scheduled_at is not None)
        due = max(last, state.created_at) + timedelta(seconds=limits.gang_seconds)
        detail = _over("gangSeconds", limits.gang_seconds)
        yield Blocker(Reason.UNSCHEDULABLE, gang, detail, due, Consequence.BACKS_OFF)


def partial_gang(row: TrialRow, state: AttemptState) -> str:
    """A sentence about pods that hold devices while others are not scheduled; empty: all do, or none."""
    bound = [pod for pod in state.pods if pod.scheduled_at is not None]
    gone = row.pods_checksum is not None and len(state.pods) < state.planned_pods
    if not bound or len(bound) >= state.planned_pods or row.scheduled_at is not None or gone:
        return ""
    homeless = next((pod for pod in state.pods if pod.scheduled_at is None), None)
    said = f" ({homeless.unschedulable})" if homeless is not None and homeless.unschedulable else ""
    others = f"pod {homeless.name} finds no node{said}" if homeless is not None else "others are not there"
    return (
        f"{len(bound)} of {state.planned_pods} pods hold devices while {others}; they are given back and the trial is "
        "tried again later"
    )


def unstarted_pods(state: AttemptState, limits: Limits, image: str) -> Iterator[Blocker]:
    """Of pods that are bound to a node and do not run yet."""
    for pod in state.pods:
        if pod.scheduled_at is not None and pod.started_at is None and pod.exit is None:
            yield from _unmade(pod, pod.scheduled_at, state, image)
            yield from _unpulled(pod, pod.scheduled_at, state, limits, image)
            yield from _unstarted(pod, pod.scheduled_at, state, limits)


def _complaints(pod: PodState, state: AttemptState, reason: str = "") -> list[str]:
    return [said.message for said in state.warnings_about if said.about == pod.name and said.reason.startswith(reason)]


def _unmade(pod: PodState, since: datetime, state: AttemptState, image: str) -> Iterator[Blocker]:
    """What only a person can remove."""
    for said in (pod.waiting_message, *_complaints(pod, state, "FailedMount")):
        if secret := MISSING_SECRET.search(said):
            missing = f"The Secret {secret[1]} does not exist" if secret[1] else f"A Secret lacks the key {secret[2]}"
            yield blocker(Reason.SECRET_MISSING, missing, f"pod {pod.name}", since, STUCK_SECONDS)
        if bundle := MISSING_BUNDLE.search(said):
            yield _without_bundle(pod, bundle, since)
    if pod.waiting_reason in WRONG_IMAGE:
        what = f"The image {image} cannot be used ({pod.waiting_reason})"
        yield blocker(Reason.IMAGE_PULL, what, pod.waiting_message, since, STUCK_SECONDS)
    if pod.waiting_reason in UNMADE_CONTAINER:
        what = f"The container of pod {pod.name} cannot be made from image {image}"
        yield blocker(Reason.CONFIG_INVALID, what, pod.waiting_message, since, STUCK_SECONDS)


def _without_bundle(pod: PodState, missing: re.Match[str], since: datetime) -> Blocker:
    """The author did not ask for it, and may not even know of it."""
    what = f"ConfigMap {missing[1]} does not exist" if missing[1] else f"ConfigMap lacks the key {missing[2]}"
    brief = f"The administrator's CA bundle cannot be mounted: its {what}; create it in this namespace"
    due = since + timedelta(seconds=STUCK_SECONDS)
    return Blocker(Reason.SECRET_MISSING, brief, f"pod {pod.name}", due, Reason.SECRET_MISSING.consequence)


def _unpulled(pod: PodState, since: datetime, state: AttemptState, limits: Limits, image: str) -> Iterator[Blocker]:
    """A registry may recover. A pull Secret that does not exist is only told: some images need none."""
    if pod.waiting_reason in UNPULLED_IMAGE:
        said = " ".join((pod.waiting_message, *_complaints(pod, state, "FailedToRetrieveImagePullSecret")[:1]))
        what = f"The image {image} cannot be pulled"
        yield blocker(Reason.IMAGE_PULL, what, f"pod {pod.name}: {said}", since, limits.start_seconds)


def _unstarted(pod: PodState, since: datetime, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    """What may pass, within limits.startSeconds."""
    said = " ".join(filter(None, (pod.waiting_reason, pod.waiting_message, *_complaints(pod, state)[:1])))
    over, what = _over("startSeconds", limits.start_seconds), f"Pod {pod.name} does not run yet"
    yield blocker(Reason.DEADLINE_EXCEEDED, what, said, since, limits.start_seconds, over)


def _outlasting(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    """Ranks end together, and each pod's own watchdog ends it otherwise: one that runs on hangs as a whole.

    Since when, the row says: a kubelet's clock may be wrong.
    """
    well = any(pod.exit is not None and pod.exit.code == 0 for pod in state.pods)
    running = [pod for pod in state.pods if pod.exit is None and pod.started_at is not None]
    if well and running and row.ended_at is not None:
        seconds = limits.stall_seconds + OUTLASTING_SECONDS
        what = f"Pod {running[0].name} runs on though others have ended well"
        yield blocker(Reason.STALLED, what, _over("stallSeconds", limits.stall_seconds), row.ended_at, seconds)


def _total(row: TrialRow, state: AttemptState, limits: Limits) -> Iterator[Blocker]:
    jobs_to_create = [start for pod in state.pods if (start := container_started_at(pod, row.started_at)) is not None]
    if jobs_to_create:
        running = next((f": pod {pod.name} runs" for pod in state.pods if pod.exit is None), "")
        detail = f"{_over('totalSeconds', limits.total_seconds)}{running}"
        yield blocker(
            Reason.DEADLINE_EXCEEDED, "The run does not end", detail, min(jobs_to_create), limits.total_seconds
        )


def _over(limit: str, seconds: int) -> str:
    return f"limits.{limit}, {seconds} s, is over"
