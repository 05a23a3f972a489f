"""What does a reason mean? When an Attempt, or a Benchmark, gets it, what a person does about it, and when it is told.

The one source of the remedies: sentences in rows are made with them, and docs/endings.md shows them.
In `told`, {settle}, {stuck}, {refused} and {node} stand for the seconds that causes are waited for.

What follows for the sweep when an Attempt ends for a reason? One table.

* Stops the sweep: every Trial would share the cause.
* Ends its Point: its other repeats would share the cause, other Points need not.
* Is retried: another Attempt while `retries` last. Suspension and preemption are retried without being counted.
* Backs off: it holds devices that others wait for, and lacks some itself; uncounted, within `limits.queuedSeconds`.
* Gives up: this Trial only, and nothing follows from it.
* Spares: the Trial is not needed; no failure, and nothing is missing without it.
"""

from dataclasses import dataclass
from enum import Enum

from sdbench.api.status import Reason, Scope


@dataclass(frozen=True)
class Story:
    """Of one reason."""

    when: str
    remedy: str
    """What to do, as the second half of a sentence; empty where nothing is to be done."""
    told: str = "at once"
    """In which time after its first sign."""


SETTLED = "at once if all pods have ended, else after {settle} s"
"""Of a weak cause: a stronger one may follow."""

STORIES: dict[Reason, Story] = {
    Reason.MEASURED: Story("All pods ended with code 0 and rank 0 left a complete Report of this Attempt.", ""),
    Reason.CONFIG_INVALID: Story(
        "The trainer refused its configuration (64), no container can be made from the image, the cluster calls the "
        "job invalid, or the plan was refused.",
        "correct spec.trainer or spec.image",
        "at once; {stuck} s after scheduling; {refused} s after the refusal",
    ),
    Reason.DATA_MISSING: Story(
        "The shards could not be read (65), or the claim does not exist.",
        "check spec.data, its credentials, and that shards lie there",
        "at once; a claim: {stuck} s after creation, or after a queue let the job go",
    ),
    Reason.SECRET_MISSING: Story(
        "A Secret that the pods mount does not exist, or lacks a key; or the ConfigMap with the CA bundle.",
        "create it or correct spec.data.credentialsSecret",
        "{stuck} s after scheduling",
    ),
    Reason.IMAGE_PULL: Story(
        "The image has a malformed name, is never pulled, or could not be pulled.",
        "correct spec.image or spec.imagePullSecrets",
        "a name: {stuck} s after scheduling; a pull: limits.startSeconds after it",
    ),
    Reason.PODS_FORBIDDEN: Story(
        "A quota, Pod Security or an admission policy refuses the job or its pods; or their ServiceAccount is missing.",
        "ask whoever administers the namespace",
        "{stuck} s after the first refusal; a refused job after {refused} s; what may pass: limits.queuedSeconds",
    ),
    Reason.UNSCHEDULABLE: Story(
        "No node has room for a pod; or some pods held devices for limits.gangSeconds while others found none.",
        "free or add nodes, ask for fewer devices, or raise limits.queuedSeconds",
        "limits.queuedSeconds after creation; half of a gang: limits.gangSeconds after its last pod was scheduled",
    ),
    Reason.NOT_ADMITTED: Story(
        "The job is suspended by a queue and was not admitted.",
        "raise the queue's quota or limits.queuedSeconds, or ask for fewer devices",
        "limits.queuedSeconds after creation",
    ),
    Reason.RENDEZVOUS_TIMEOUT: Story(
        "The ranks did not meet (66), though all pods ran: one did not reach the master, or others did not come.",
        "check the network between the pods and its policies, or raise limits.rendezvousSeconds",
        "limits.rendezvousSeconds after a rank's start; if others do not come to it, limits.startSeconds later",
    ),
    Reason.OUT_OF_MEMORY_DEVICE: Story("A device's memory was full (67).", "lower deviceMicrobatchSize"),
    Reason.OUT_OF_MEMORY_HOST: Story(
        "The kubelet calls the container OOMKilled, whatever its code.", "raise devices.perDevice.memory"
    ),
    Reason.LOSS_NOT_FINITE: Story(
        "The loss became infinite or not a number (68).", "lower learningRate or use another precision"
    ),
    Reason.PEER_LOST: Story(
        "A rank lost its peers (69), and no pod says why.", "look at the nodes and the network of its peers", SETTLED
    ),
    Reason.COLLECTIVE_ERROR: Story(
        "A collective failed though no peer was lost (73).", "check the network between the devices", SETTLED
    ),
    Reason.MIXED_IMAGES: Story(
        "The pods of one Attempt ran different images under one name.", "name spec.image by its digest"
    ),
    Reason.MIXED_DEVICES: Story(
        "The ranks of one Attempt saw different devices (74); of CPUs, different models.",
        "choose one kind of device by scheduling.nodeSelector",
    ),
    Reason.CRASHED: Story("The trainer ended with 70, or a code that has no name.", "read what it said last", SETTLED),
    Reason.STALLED: Story(
        "No first step, or no further one, for too long (71): the sentence says where; or a pod runs on though "
        "another has ended well.",
        "look at where it stands, or raise limits.firstStepSeconds or limits.stallSeconds",
        "100 median steps, 60 s at least, limits.stallSeconds at most; the first step: limits.firstStepSeconds. "
        "Of several pods: then once all have ended, or {node} s of silence are over",
    ),
    Reason.SHARED_MEMORY_FULL: Story(
        "The shared memory, /dev/shm, was full (72).", "raise devices.perDevice.sharedMemory"
    ),
    Reason.DEADLINE_EXCEEDED: Story(
        "A limit of spec.limits is over and nothing better is known: the sentence says which.",
        "find out what is slow, or raise that limit",
        "limits.queuedSeconds, limits.startSeconds or limits.totalSeconds",
    ),
    Reason.INTERRUPTED: Story(
        "A pod was killed by a signal (137, 143), deleted, replaced, or refused by its node.",
        "find out who did it",
        "a signal: as PeerLost; else at once",
    ),
    Reason.PREEMPTED: Story(
        "The scheduler took a pod off its node for a more important one, or somebody (Kueue) suspended the job after "
        "its pods were scheduled.",
        "give it a higher priority if this happens again and again",
    ),
    Reason.EVICTED: Story(
        "A pod was evicted, by the eviction API (a drained node) or by a kubelet short of something.",
        "look at what its node was short of, or who drains it",
    ),
    Reason.NODE_LOST: Story(
        "A node became unreachable, was tainted NoExecute, shut down or removed, or its kubelet lost a container.",
        "look at the node",
        "at once when the cluster says so: some 80 s after the node's last sign",
    ),
    Reason.JOB_DELETED: Story(
        "Somebody else deleted the job, or put another of its name in its place.",
        "leave jobs to the operator; spec.suspend and spec.cancel stop them",
    ),
    Reason.REPORT_LOST: Story(
        "The pods ended well, but left no complete Report of this Attempt.",
        "read the log of the master, which is kept for retention.failedSeconds",
    ),
    Reason.NAME_CONFLICT: Story(
        "Another owner's object has the Attempt's name; it is left alone.", "rename or delete that object"
    ),
    Reason.BACKEND_UNAVAILABLE: Story(
        "The cluster does not know PyTorchJobs; rows stay as they are until it does.",
        "install the Kubeflow training-operator",
        "at the next look, within 45 s",
    ),
    Reason.BUDGET_EXCEEDED: Story(
        "limits.deviceHours or limits.cost, or the administrator's bound, is used up, or too little is left.",
        "raise the limit that the sentence names",
    ),
    Reason.SUSPENDED: Story("spec.suspend stopped the Attempt.", "set spec.suspend to false to go on"),
    Reason.CANCELLED: Story("spec.cancel ended the Benchmark.", "create another Benchmark to ask again"),
    Reason.SKIPPED: Story(
        "Another Trial's failure, or a lowered limits.maxDevices, leaves this one without a hope.",
        "remove the cause that the sentence names",
    ),
    Reason.CONVERGED: Story("The Point's repeats agree; no further one is needed.", ""),
    Reason.UNKNOWN: Story(
        "The job ended, and none of its pods says why.",
        "read the logs of its pods, which are kept for retention.failedSeconds",
        "after {settle} s",
    ),
}


def with_remedy(reason: Reason, what: str, detail: str = "") -> str:
    """What has happened and what to do; then what was said of it, which may be cut."""
    remedy = STORIES[reason].remedy
    told = f"{what}; {remedy}" if remedy else what
    return f"{told}: {detail}" if detail else told


class Consequence(Enum):
    """What an Attempt's end means."""

    MEASURED = "measured"
    STOPS_SWEEP = "stops the sweep"
    ENDS_POINT = "ends its Point"
    RETRIED = "retried, counted"
    RESUMED = "retried, uncounted"
    BACKS_OFF = "gives its devices back, and is tried again later"
    GIVES_UP = "gives up"
    SPARES = "is not needed"


CONSEQUENCES: dict[Reason, Consequence] = {
    Reason.MEASURED: Consequence.MEASURED,
    Reason.CONFIG_INVALID: Consequence.STOPS_SWEEP,
    Reason.IMAGE_PULL: Consequence.STOPS_SWEEP,
    Reason.SECRET_MISSING: Consequence.STOPS_SWEEP,
    Reason.DATA_MISSING: Consequence.STOPS_SWEEP,
    Reason.PODS_FORBIDDEN: Consequence.STOPS_SWEEP,  # by Pod Security; by a quota, which has room for less: ENDS_POINT
    Reason.UNSCHEDULABLE: Consequence.ENDS_POINT,
    Reason.NOT_ADMITTED: Consequence.ENDS_POINT,
    Reason.OUT_OF_MEMORY_DEVICE: Consequence.ENDS_POINT,
    Reason.OUT_OF_MEMORY_HOST: Consequence.ENDS_POINT,
    Reason.SHARED_MEMORY_FULL: Consequence.ENDS_POINT,
    Reason.LOSS_NOT_FINITE: Consequence.ENDS_POINT,
    Reason.COLLECTIVE_ERROR: Consequence.ENDS_POINT,
    Reason.CRASHED: Consequence.ENDS_POINT,
    Reason.DEADLINE_EXCEEDED: Consequence.ENDS_POINT,
    Reason.INTERRUPTED: Consequence.RETRIED,
    Reason.EVICTED: Consequence.RETRIED,
    Reason.NODE_LOST: Consequence.RETRIED,
    Reason.MIXED_IMAGES: Consequence.RETRIED,
    Reason.MIXED_DEVICES: Consequence.RETRIED,
    Reason.JOB_DELETED: Consequence.RETRIED,
    Reason.PEER_LOST: Consequence.RETRIED,
    Reason.RENDEZVOUS_TIMEOUT: Consequence.RETRIED,
    Reason.STALLED: Consequence.RETRIED,
    Reason.REPORT_LOST: Consequence.RETRIED,
    Reason.NAME_CONFLICT: Consequence.RETRIED,
    Reason.UNKNOWN: Consequence.RETRIED,
    Reason.PREEMPTED: Consequence.RESUMED,
    Reason.SUSPENDED: Consequence.RESUMED,
    Reason.CANCELLED: Consequence.GIVES_UP,
    Reason.BUDGET_EXCEEDED: Consequence.GIVES_UP,
    Reason.SKIPPED: Consequence.GIVES_UP,
    Reason.CONVERGED: Consequence.SPARES,
}

SCOPES: dict[Consequence, Scope] = {
    Consequence.STOPS_SWEEP: Scope.SWEEP,
    Consequence.ENDS_POINT: Scope.POINT,
    Consequence.RETRIED: Scope.TRIAL,
    Consequence.GIVES_UP: Scope.TRIAL,
}
"""How far a failure reaches, of the consequences that may leave a row Failed."""
