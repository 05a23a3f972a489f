"""What took a pod off its node? From the cluster's word for it to a reason."""

from sdbench.api.status import Reason
from sdbench.core.snapshot import PodState

REASONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "Preempting": Reason.PREEMPTED,  # the kubelet, to admit a critical pod
    "EvictionByEvictionAPI": Reason.EVICTED,
    "Evicted": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,  # by the kubelet of a node that shuts down
    "Shutdown": Reason.NODE_LOST,
    "NodeLost": Reason.NODE_LOST,
}

KUBELET_WORDS = {"Preempting", "Evicted", "NodeShutdown", "Terminated", "Shutdown", "NodeLost"}
"""Reasons of a pod itself; the others are of its condition DisruptionTarget."""

PREEMPTION = "Preemption"
"""How every word for a preemption begins, by whomever."""


def disrupted_by(pod: PodState) -> Reason | None:
    """Why the pod could not go on where it was; Interrupted for a word without a better name; None: nothing did it."""
    if pod.disruption in REASONS:
        return REASONS[pod.disruption]
    if pod.disruption.startswith(PREEMPTION):
        return Reason.PREEMPTED
    if pod.lost:
        return Reason.NODE_LOST
    return Reason.INTERRUPTED if pod.disruption else None
