"""Holds the one table of reasons: why an Attempt ends or waits, what to do about it, and what follows.

The CRD's enum, the sentences in rows, docs/endings.md and the meaning of a pod's exit code all come from `Reason`: to
add a reason, add one entry. In `reported`, {settle}, {stuck}, {refused} and {node} stand for seconds that
docs/generate.py fills in.
"""

from enum import StrEnum
from typing import Self

from sdbench.api.consequences import Consequence, Entry
from sdbench_trainer.report import ExitCode, RootCauseRank, root_cause_rank

SETTLED = "at once if all pods have ended, else after {settle} s"
"""When an end is reported that may follow from another's: a better root cause may still be seen."""


class Reason(StrEnum):
    """Why an Attempt ended, or a condition is what it is."""

    entry: Entry

    def __new__(cls, entry: Entry) -> Self:
        """Makes a member whose value is the name in its entry."""
        member = str.__new__(cls, entry.name)
        member._value_, member.entry = entry.name, entry
        return member

    @property
    def remedy(self) -> str:
        """What a person does about it, as the second half of a sentence."""
        return self.entry.remedy

    @property
    def consequence(self) -> Consequence:
        """What follows for the Benchmark."""
        return self.entry.consequence

    @property
    def rank(self) -> RootCauseRank | None:
        """How well it explains a failure beside other pods' ends; None without an exit code."""
        return None if self.entry.exit_code is None else root_cause_rank(self.entry.exit_code)

    MEASURED = Entry(
        "Measured",
        Consequence.MEASURED,
        when="All pods ended with code 0, and rank 0 left a complete Report of this Attempt",
    )
    CONFIG_INVALID = Entry(
        "ConfigInvalid",
        Consequence.STOPS_SWEEP,
        when="The trainer rejected its configuration, no container can be made from the image, the cluster "
        "calls the job invalid, or the plan was rejected",
        remedy="correct spec.trainer or spec.image",
        reported="at once; {stuck} s after scheduling; {refused} s after the cluster rejected the job",
        exit_code=ExitCode.CONFIG_INVALID,
        summary="The trainer rejects the configuration",
    )
    DATA_MISSING = Entry(
        "DataMissing",
        Consequence.STOPS_SWEEP,
        when="The shards could not be read, or the claim does not exist",
        remedy="check spec.data, its credentials, and that it holds shards",
        reported="at once; a claim: {stuck} s after creation, or after a queue admitted the job",
        exit_code=ExitCode.DATA_MISSING,
        summary="The data cannot be read",
    )
    SECRET_MISSING = Entry(
        "SecretMissing",
        Consequence.STOPS_SWEEP,
        when="A Secret that the pods mount, or the ConfigMap with the CA bundle, does not exist or lacks a key",
        remedy="create it or correct spec.data.credentialsSecret",
        reported="{stuck} s after scheduling",
    )
    IMAGE_PULL = Entry(
        "ImagePull",
        Consequence.STOPS_SWEEP,
        when="The image has a malformed name, may not be pulled, or could not be pulled",
        remedy="correct spec.image or spec.imagePullSecrets",
        reported="a name: {stuck} s after scheduling; a pull: limits.startSeconds after it",
    )
    PODS_FORBIDDEN = Entry(
        "PodsForbidden",
        # By Pod Security. A quota or a policy may have room for less, and ends the Point only.
        Consequence.STOPS_SWEEP,
        when="A quota, Pod Security or an admission policy rejects the job or its pods, or their ServiceAccount "
        "does not exist",
        remedy="ask whoever administers the namespace",
        reported="{stuck} s after the first rejection; a rejected job after {refused} s; what may pass: "
        "limits.queuedSeconds",
    )
    UNSCHEDULABLE = Entry(
        "Unschedulable",
        Consequence.ENDS_POINT,
        when="No node has room for a pod, or some pods held devices for limits.gangSeconds while others found none",
        remedy="free or add nodes, ask for fewer devices, or raise limits.queuedSeconds",
        reported="limits.queuedSeconds after creation; a partial gang: limits.gangSeconds after its last pod was "
        "scheduled",
    )
    NOT_ADMITTED = Entry(
        "NotAdmitted",
        Consequence.ENDS_POINT,
        when="A queue suspended the job and did not admit it",
        remedy="raise the queue's quota or limits.queuedSeconds, or ask for fewer devices",
        reported="limits.queuedSeconds after creation",
    )
    RENDEZVOUS_TIMEOUT = Entry(
        "RendezvousTimeout",
        Consequence.RETRIED,
        when="All pods ran, but the ranks did not meet: one did not reach the master, or others did not come",
        remedy="check the network between the pods and its policies, or raise limits.rendezvousSeconds",
        reported="limits.rendezvousSeconds after a rank's start; if others do not come to it, "
        "limits.startSeconds later",
        exit_code=ExitCode.RENDEZVOUS_TIMEOUT,
        summary="The pods did not meet in time",
    )
    OUT_OF_MEMORY_DEVICE = Entry(
        "OutOfMemoryDevice",
        Consequence.ENDS_POINT,
        when="The device's memory is full",
        remedy="lower deviceMicrobatchSize",
        exit_code=ExitCode.OUT_OF_DEVICE_MEMORY,
    )
    OUT_OF_MEMORY_HOST = Entry(
        "OutOfMemoryHost",
        Consequence.ENDS_POINT,
        when="The kubelet calls the container OOMKilled, whatever its exit code",
        remedy="raise devices.perDevice.memory",
    )
    LOSS_NOT_FINITE = Entry(
        "LossNotFinite",
        Consequence.ENDS_POINT,
        when="The loss is not finite",
        remedy="lower learningRate or use another precision",
        exit_code=ExitCode.LOSS_NOT_FINITE,
    )
    PEER_LOST = Entry(
        "PeerLost",
        Consequence.RETRIED,
        when="A rank lost its peers",
        remedy="look at the nodes and the network of its peers",
        reported=SETTLED,
        exit_code=ExitCode.PEER_LOST,
    )
    COLLECTIVE_ERROR = Entry(
        "CollectiveError",
        Consequence.ENDS_POINT,
        when="A collective operation failed though no peer was lost",
        remedy="check the network between the devices",
        reported=SETTLED,
        exit_code=ExitCode.COLLECTIVE_ERROR,
    )
    MIXED_IMAGES = Entry(
        "MixedImages",
        Consequence.RETRIED,
        when="The pods of one Attempt ran different images under one name",
        remedy="name spec.image by its digest",
    )
    MIXED_DEVICES = Entry(
        "MixedDevices",
        Consequence.RETRIED,
        when="The ranks ran on different devices",
        remedy="choose one kind of device by scheduling.nodeSelector",
        exit_code=ExitCode.MIXED_DEVICES,
    )
    CRASHED = Entry(
        "Crashed",
        Consequence.ENDS_POINT,
        when="The trainer ended with a bug, or with an exit code that has no name",
        remedy="read its last output",
        reported=SETTLED,
        exit_code=ExitCode.BUG,
        summary="The trainer crashed",
    )
    STALLED = Entry(
        "Stalled",
        Consequence.RETRIED,
        when="No first step, or no further one, for too long: the sentence says where; or a pod keeps running "
        "though another has ended well",
        remedy="look at where it stands, or raise limits.firstStepSeconds or limits.stallSeconds",
        reported="100 median steps, 60 s at least, limits.stallSeconds at most; the first step: "
        "limits.firstStepSeconds. With several pods: then once all have ended, or after {node} s of silence",
        exit_code=ExitCode.STALLED,
        summary="The run made no step for too long",
    )
    SHARED_MEMORY_FULL = Entry(
        "SharedMemoryFull",
        Consequence.ENDS_POINT,
        when="The shared memory is full",
        remedy="raise devices.perDevice.sharedMemory",
        exit_code=ExitCode.SHARED_MEMORY_FULL,
    )
    DEADLINE_EXCEEDED = Entry(
        "DeadlineExceeded",
        Consequence.ENDS_POINT,
        when="A limit of spec.limits is over, and nothing more precise is known: the sentence says which limit",
        remedy="find out what is slow, or raise that limit",
        reported="limits.queuedSeconds, limits.startSeconds or limits.totalSeconds",
    )
    INTERRUPTED = Entry(
        "Interrupted",
        Consequence.RETRIED,
        when="A pod was killed by a signal (137, 143), deleted, replaced, or rejected by its node",
        remedy="find out who did it",
        reported="a signal: as PeerLost; else at once",
    )
    PREEMPTED = Entry(
        "Preempted",
        Consequence.RESUMED,
        when="The scheduler took a pod off its node for one of higher priority, or a queue (Kueue) or a person "
        "suspended the job after its pods were scheduled",
        remedy="give it a higher priority if this happens again and again",
    )
    EVICTED = Entry(
        "Evicted",
        Consequence.RETRIED,
        when="A pod was evicted by the eviction API (a drained node), or by a kubelet that ran short of a resource",
        remedy="look at what its node was short of, or who drains it",
    )
    NODE_LOST = Entry(
        "NodeLost",
        Consequence.RETRIED,
        when="A node became unreachable, was tainted NoExecute, shut down or removed, or its kubelet lost a container",
        remedy="look at the node",
        reported="at once when the cluster says so: some 80 s after the node's last heartbeat",
    )
    JOB_DELETED = Entry(
        "JobDeleted",
        Consequence.RETRIED,
        when="Somebody else deleted the job, or replaced it by another of its name",
        remedy="leave jobs to the operator; spec.suspend and spec.cancel stop them",
    )
    REPORT_LOST = Entry(
        "ReportLost",
        Consequence.RETRIED,
        when="The pods ended well, but left no complete Report of this Attempt",
        remedy="read the log of the master, which is kept for retention.failedSeconds",
    )
    NAME_CONFLICT = Entry(
        "NameConflict",
        Consequence.RETRIED,
        when="An object of another owner has the Attempt's name; it is left alone",
        remedy="rename or delete that object",
    )
    BACKEND_UNAVAILABLE = Entry(
        "BackendUnavailable",
        Consequence.WAITS,
        when="The cluster does not serve PyTorchJobs; rows stay as they are until it does",
        remedy="install the Kubeflow training-operator",
        reported="at the next pass, within 45 s",
    )
    BUDGET_EXCEEDED = Entry(
        "BudgetExceeded",
        Consequence.GIVES_UP,
        when="limits.deviceHours, limits.cost or the administrator's bound is used up, or too little of it is left",
        remedy="raise the limit that the sentence names",
    )
    SUSPENDED = Entry(
        "Suspended",
        Consequence.RESUMED,
        when="spec.suspend stopped the Attempt",
        remedy="set spec.suspend to false to go on",
    )
    CANCELLED = Entry(
        "Cancelled",
        Consequence.GIVES_UP,
        when="spec.cancel ended the Benchmark",
        remedy="create another Benchmark to ask again",
    )
    SKIPPED = Entry(
        "Skipped",
        Consequence.GIVES_UP,
        when="Another Trial's failure, or a lowered limits.maxDevices, rules this one out",
        remedy="remove the cause that the sentence names",
    )
    CONVERGED = Entry(
        "Converged",
        Consequence.NOT_NEEDED,
        when="The Point's repeats agree, and no further one is needed",
    )
    UNKNOWN = Entry(
        "Unknown",
        Consequence.RETRIED,
        when="The job ended, and none of its pods says why",
        remedy="read the logs of its pods, which are kept for retention.failedSeconds",
        reported="after {settle} s",
    )


BY_EXIT_CODE: dict[int, Reason] = {one.entry.exit_code: one for one in Reason if one.entry.exit_code is not None}
"""The reason that each exit code of a training pod means."""


def with_remedy(reason: Reason, what: str, detail: str = "") -> str:
    """What happened and what to do about it, then the detail, which may be cut."""
    sentence = f"{what}; {reason.remedy}" if reason.remedy else what
    return f"{sentence}: {detail}" if detail else sentence
