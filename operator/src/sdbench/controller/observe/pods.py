"""Turns a Pod object into a PodState: the only module that reads a Pod's fields."""

from collections.abc import Iterator
from datetime import UTC, datetime

from sdbench.controller.apiserver.client import Document
from sdbench.controller.job.pytorchjob import CONTAINER
from sdbench.core.attempt.root_cause import KUBELET_WORDS
from sdbench.core.snapshot import PodExit, PodState
from sdbench_trainer.report import report_in

REPLICA_TYPE = "training.kubeflow.org/replica-type"
REPLICA_INDEX = "training.kubeflow.org/replica-index"
WAITS_FOR_MASTER = "init-pytorch"
"""The init container that the training-operator adds to workers; it waits for the master."""

ENDED = ("Succeeded", "Failed")
NOT_WAITING = ("", "ContainerCreating", "PodInitializing")
LOST = ("ContainerStatusUnknown", "Unknown")
"""Reasons of a termination of which nothing else is known: the kubelet's, and containerd's."""

NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""The status of a container that could not be started says that it started in 1970."""


def pod_state(pod: Document) -> PodState:
    """The state of a pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    replica, trainer, scheduled = label(pod, REPLICA_INDEX), _trainer_status(status), _condition(status, "PodScheduled")
    exit_ = _exit(status)
    reason, message = _waiting(status)
    disruption, disruption_message = _disruption(status)
    state = trainer.get("state", {})
    started = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    index = int(replica) if replica.isdigit() else 0
    return PodState(
        name=metadata["name"],
        uid=metadata["uid"],
        # The master is 0, and worker n is n + 1.
        index=index + (label(pod, REPLICA_TYPE) == "worker"),
        holds_devices=_holds_devices(status),
        scheduled_at=parsed_time(scheduled["lastTransitionTime"]) if scheduled.get("status") == "True" else None,
        started_at=parsed_time(started) if started and parsed_time(started) > NEVER else None,
        node=pod["spec"].get("nodeName"),
        image_id=str(trainer.get("imageID", "")),
        waiting_reason=reason,
        waiting_message=message,
        # The scheduler's sentence if it has written one, else its reason.
        unschedulable=str(scheduled.get("message") or scheduled.get("reason", ""))
        if scheduled.get("status") == "False"
        else "",
        disruption=disruption,
        disruption_message=disruption_message,
        lost=_lost(status, exit_, disruption),
        deleting="deletionTimestamp" in metadata,
        exit=exit_,
        report=report_in(exit_.message) if exit_ else None,
    )


def label(document: Document, name: str) -> str:
    """The value of a label; empty if it is absent."""
    labels = document["metadata"].get("labels") or {}
    return str(labels.get(name, ""))


def parsed_time(text: str) -> datetime:
    """Parses a metav1.Time."""
    return datetime.fromisoformat(text)


def _trainer_status(status: Document) -> Document:
    """The status of the training container; empty until the kubelet has seen the pod."""
    return next((c for c in status.get("containerStatuses") or () if c["name"] == CONTAINER), {})


def _containers(status: Document) -> Iterator[Document]:
    """The statuses of all containers, in the order in which they run."""
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _holds_devices(status: Document) -> bool:
    """Whether any container is not known to have terminated."""
    if status.get("phase") in ENDED:
        # In a pod that ended, a container that never ran holds nothing, either.
        return any("running" in container.get("state", {}) for container in _containers(status))
    statuses = status.get("containerStatuses") or ()
    return not statuses or any("terminated" not in container.get("state", {}) for container in statuses)


def _exit(status: Document) -> PodExit | None:
    """How the training container ended, or the init container whose failure kept it from starting."""
    ended = _trainer_status(status).get("state", {}).get("terminated")
    if ended is not None:
        return PodExit(ended["exitCode"], ended.get("reason", ""), ended.get("message", ""))
    if status.get("phase") != "Failed":
        return None
    for container in status.get("initContainerStatuses") or ():
        failed = container.get("state", {}).get("terminated")
        if failed is not None and failed["exitCode"] != 0:
            message = f"init container {container['name']} failed: {failed.get('message', '')}"
            before_start = container["name"] == WAITS_FOR_MASTER
            return PodExit(failed["exitCode"], failed.get("reason", ""), message, before_start=before_start)
    return None


def _waiting(status: Document) -> tuple[str, str]:
    """Reason and message of the first container that is kept from running; empty if there is none."""
    for container in _containers(status):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason", "") not in NOT_WAITING:
            return waiting["reason"], waiting.get("message", "")
    return "", ""


def _condition(status: Document, kind: str) -> Document:
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


def _disruption(status: Document) -> tuple[str, str]:
    """What ended the pod from outside, such as EvictionByEvictionAPI, and its message; empty if nothing did."""
    target, reason = _condition(status, "DisruptionTarget"), str(status.get("reason") or "")
    own = reason, str(status.get("message") or "")
    if reason in KUBELET_WORDS:
        # The pod's reason is more precise than the condition's, which is TerminationByKubelet.
        return own
    if target.get("status") == "True":
        return str(target.get("reason") or "DisruptionTarget"), str(target.get("message") or "")
    return own if status.get("phase") == "Failed" and reason else ("", "")


def _lost(status: Document, exited: PodExit | None, disruption: str) -> bool:
    """Whether the kubelet does not know how the container ended, because its node or runtime was lost."""
    if exited is not None:
        return exited.reason in LOST
    return status.get("phase") == "Failed" and not disruption
