"""Builds the fields of a job and its pods that a queue and a scheduler read.

A queue suspends and resumes the job; the operator never writes `suspend`.
"""

from collections.abc import Iterator
from typing import Any

from sdbench.api.spec_scheduling import HOSTNAME, Effect, Scheduling, Toleration, TolerationOperator, TopologyMode

Part = dict[str, Any]

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

LOST_NODE_KEYS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
LOST_NODE_SECONDS = 30
"""How long pods stay bound to a lost node. Kubernetes' 300 s would hold the other nodes' devices as long."""


def queue_labels(scheduling: Scheduling) -> dict[str, str]:
    """The label that puts the job into a queue."""
    # Not on pods, which would be queued one by one.
    return {QUEUE_LABEL: scheduling.queue_name} if scheduling.queue_name else {}


def gang(scheduling: Scheduling, pods: int) -> Part:
    """The part of the job's runPolicy that asks for all pods or none; empty without a gang scheduler."""
    if not scheduling.gang:
        return {}
    named = {"queue": scheduling.queue_name, "priorityClass": scheduling.priority_class_name}
    policy = {"minAvailable": pods} | {key: name for key, name in named.items() if name}
    return {"schedulingPolicy": policy}


def placed(scheduling: Scheduling, siblings: dict[str, str]) -> Part:
    """The fields of a Pod that say where it may run; `siblings` are labels that only the Attempt's pods have."""
    fields = {
        "priorityClassName": scheduling.priority_class_name,
        "schedulerName": scheduling.scheduler_name,
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": [one.document() for one in (*scheduling.tolerations, *_for_lost_nodes(scheduling.tolerations))],
        "affinity": _affinity(scheduling, siblings),
        "topologySpreadConstraints": list(_spread(scheduling, siblings)),
    }
    return {name: value for name, value in fields.items() if value}


def _for_lost_nodes(given: tuple[Toleration, ...]) -> Iterator[Toleration]:
    """A short toleration for each sign of a lost node that the author's own do not cover, as Kubernetes judges it."""
    for key in LOST_NODE_KEYS:
        if not any(one.key in (None, key) and one.effect in (None, Effect.NO_EXECUTE) for one in given):
            yield Toleration(
                key=key,
                operator=TolerationOperator.EXISTS,
                effect=Effect.NO_EXECUTE,
                toleration_seconds=LOST_NODE_SECONDS,
            )


def _affinity(scheduling: Scheduling, siblings: dict[str, str]) -> Part:
    rules: Part = {}
    if scheduling.excluded_nodes:
        # A requirement on a node's name takes one value, so there is one for each node; all of them must hold.
        names = [{"key": "metadata.name", "operator": "NotIn", "values": [n]} for n in scheduling.excluded_nodes]
        rules["nodeAffinity"] = _required({"nodeSelectorTerms": [{"matchFields": names}]})
    if scheduling.topology_key and scheduling.topology_mode is TopologyMode.TOGETHER:
        # The first pod finds no sibling, and may go anywhere because it matches its own term.
        rules["podAffinity"] = _required([_beside(scheduling.topology_key, siblings)])
    if scheduling.one_pod_per_node:
        rules["podAntiAffinity"] = _required([_beside(HOSTNAME, siblings)])
    return rules


def _required(terms: Any) -> Part:
    return {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _beside(key: str, siblings: dict[str, str]) -> Part:
    return {"topologyKey": key, "labelSelector": {"matchLabels": siblings}}


def _spread(scheduling: Scheduling, siblings: dict[str, str]) -> Iterator[Part]:
    if scheduling.topology_key and scheduling.topology_mode is TopologyMode.SPREAD:
        yield {
            "maxSkew": 1,
            "topologyKey": scheduling.topology_key,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": siblings},
            # Otherwise a domain whose nodes are all tainted would count as empty, and nothing could be scheduled.
            "nodeTaintsPolicy": "Honor",
        }
