"""What stands in the way of an Attempt, and until when is that borne? Hindrances, each with the moment of giving up.

| hindrance | seen as | reason | given up |
|---|---|---|---|
| pods are refused by Pod Security | FailedCreatePod, pods missing | PodsForbidden | 20 s after creation |
| pods exceed a quota | FailedCreatePod, pods missing | PodsForbidden (its Point) | 20 s after creation |
| pods cannot be made otherwise | FailedCreatePod, pods missing | PodsForbidden | limits.queuedSeconds after creation |
| a claim does not exist | unschedulable: persistentvolumeclaim not found | DataMissing | 20 s after creation |
| no place for a pod | unschedulable, pods missing | Unschedulable | limits.queuedSeconds after creation |
| a wrong or forbidden image name | InvalidImageName, ErrImageNeverPull | ImagePull | 20 s after scheduling |
| a Secret does not exist | CreateContainerConfigError, FailedMount naming it | SecretMissing | 20 s after scheduling |
| the container cannot be made | CreateContainerConfigError otherwise | ConfigInvalid | 20 s after scheduling |
| the image is not pulled | ErrImagePull, ImagePullBackOff | ImagePull | limits.startSeconds after scheduling |
| a container does not run | nothing of the above | DeadlineExceeded | limits.startSeconds after scheduling |
| the run does not end | the pods' own watchdogs did not end it | DeadlineExceeded | limits.totalSeconds after start |

Causes that only a person can remove are told at once. A registry may recover, a node may be added: those have
the limits that the person set. What is in the way shows in the row from the first moment.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.spec import Limits
from sdbench.api.status import Reason
from sdbench.core.consequences import CONSEQUENCES, Consequence
from sdbench.core.world import AttemptState, PodState

STUCK_SECONDS = 20
"""How long a hindrance that only a person can remove is borne: Events and the kubelet's word may lag a little."""

WRONG_IMAGE = {"InvalidImageName", "ErrImageNeverPull"}
UNPULLED_IMAGE = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
UNMADE_CONTAINER = {"CreateContainerConfigError"}
MISSING_SECRET = re.compile(r'secrets? "([^"]+)" not found|references non-existent secret key: (\S+)')
MISSING_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')


@dataclass(frozen=True)
class Hindrance:
    """Something in the way of an Attempt."""

    reason: Reason
    brief: str
    """A sentence that stays the same while the hindrance does: what the row shows meanwhile."""
    detail: str
    """What the cluster said, and what to do."""
    due: datetime
    consequence: Consequence

    @property
    def sentence(self) -> str:
        return f"{self.brief}: {self.detail}" if self.detail else self.brief


def hindrances(state: AttemptState, limits: Limits, image: str) -> tuple[Hindrance, ...]:
    """Everything in the way, the most telling first."""
    before_start = (*_before_pods(state, limits), *_in_the_queue(state, limits), *_at_the_start(state, limits, image))
    return (*before_start, *_total(state, limits))


def _hindrance(reason: Reason, brief: str, detail: str, since: datetime, seconds: int) -> Hindrance:
    return Hindrance(reason, brief, detail, since + timedelta(seconds=seconds), CONSEQUENCES[reason])


def _before_pods(state: AttemptState, limits: Limits) -> Iterator[Hindrance]:
    """Refused pods show nowhere but in Events."""
    if len(state.pods) >= state.planned_pods:
        return
    for complaint in state.complaints:
        if complaint.reason == "FailedCreatePod":
            yield _refusal(state, complaint.message, limits)


def _refusal(state: AttemptState, said: str, limits: Limits) -> Hindrance:
    if "forbidden" not in said and "quota" not in said:
        brief = "The pods cannot be created"
        return _hindrance(Reason.PODS_FORBIDDEN, brief, said, state.created_at, limits.queued_seconds)
    due = state.created_at + timedelta(seconds=STUCK_SECONDS)
    if "exceeded quota" in said or "failed quota" in said:
        brief = "A quota of the namespace has no room for the pods; raise it or ask for fewer devices"
        return Hindrance(Reason.PODS_FORBIDDEN, brief, said, due, Consequence.ENDS_POINT)
    brief = "The namespace refuses the pods"
    if "PodSecurity" in said:
        brief = "Pod Security of the namespace refuses the pods; relax its level or use another namespace"
    return Hindrance(Reason.PODS_FORBIDDEN, brief, said, due, Consequence.STOPS_SWEEP)


def _in_the_queue(state: AttemptState, limits: Limits) -> Iterator[Hindrance]:
    waiting = [pod for pod in state.pods if pod.scheduled_at is None and pod.exit is None]
    for pod in waiting:
        if claim := MISSING_CLAIM.search(pod.unschedulable):
            brief = f"The claim {claim[1]} does not exist; create it or correct spec.data.claim"
            yield _hindrance(Reason.DATA_MISSING, brief, "", state.created_at, STUCK_SECONDS)
    for pod in waiting:
        if pod.unschedulable:
            brief = f"Pod {pod.name} finds no node"
            detail = f"{pod.unschedulable} (limits.queuedSeconds is {limits.queued_seconds})"
            yield _hindrance(Reason.UNSCHEDULABLE, brief, detail, state.created_at, limits.queued_seconds)
    if waiting or len(state.pods) < state.planned_pods:
        brief = f"Not all of {state.planned_pods} pods are scheduled"
        detail = f"limits.queuedSeconds, {limits.queued_seconds} s, is over"
        yield _hindrance(Reason.DEADLINE_EXCEEDED, brief, detail, state.created_at, limits.queued_seconds)


def _at_the_start(state: AttemptState, limits: Limits, image: str) -> Iterator[Hindrance]:
    for pod in state.pods:
        if pod.scheduled_at is not None and pod.started_at is None and pod.exit is None:
            yield from _unmade(pod, pod.scheduled_at, state, image)
            yield from _unpulled(pod, pod.scheduled_at, limits, image)


def _unmade(pod: PodState, since: datetime, state: AttemptState, image: str) -> Iterator[Hindrance]:
    """What only a person can remove."""
    mounts = [said.message for said in state.complaints if said.about == pod.name and said.reason == "FailedMount"]
    for said in (pod.waiting_message, *mounts):
        if secret := MISSING_SECRET.search(said):
            missing = f"The Secret {secret[1]} does not exist" if secret[1] else f"A Secret lacks the key {secret[2]}"
            brief = f"{missing}; create it or correct spec.data.credentialsSecret"
            yield _hindrance(Reason.SECRET_MISSING, brief, "", since, STUCK_SECONDS)
    if pod.waiting_reason in WRONG_IMAGE:
        brief = f"The image {image} cannot be used ({pod.waiting_reason}); correct spec.image"
        yield _hindrance(Reason.IMAGE_PULL, brief, pod.waiting_message, since, STUCK_SECONDS)
    if pod.waiting_reason in UNMADE_CONTAINER:
        brief = f"The container of pod {pod.name} cannot be made from image {image}"
        yield _hindrance(Reason.CONFIG_INVALID, brief, pod.waiting_message, since, STUCK_SECONDS)


def _unpulled(pod: PodState, since: datetime, limits: Limits, image: str) -> Iterator[Hindrance]:
    """What may pass, within limits.startSeconds."""
    if pod.waiting_reason in UNPULLED_IMAGE:
        brief = f"The image {image} cannot be pulled; correct spec.image or spec.imagePullSecrets"
        yield _hindrance(Reason.IMAGE_PULL, brief, pod.waiting_message, since, limits.start_seconds)
    brief = f"Pod {pod.name} does not run yet"
    detail = f"limits.startSeconds, {limits.start_seconds} s, is over {pod.waiting_reason} {pod.waiting_message}"
    yield _hindrance(Reason.DEADLINE_EXCEEDED, brief, detail, since, limits.start_seconds)


def _total(state: AttemptState, limits: Limits) -> Iterator[Hindrance]:
    starts = [pod.started_at for pod in state.pods if pod.started_at is not None]
    if starts:
        detail = f"limits.totalSeconds, {limits.total_seconds} s, is over"
        yield _hindrance(Reason.DEADLINE_EXCEEDED, "The run does not end", detail, min(starts), limits.total_seconds)
