"""Handles a job that the cluster refuses to create: the row says so at once, and is given up in time."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from sdbench.api.consequences import Consequence
from sdbench.api.reasons import Reason
from sdbench.api.status import Status, TrialRow
from sdbench.core.attempt.blockers import BY_QUOTA, STUCK_SECONDS, UNCOUNTED_QUOTA
from sdbench.core.attempt.diagnose import Diagnosis
from sdbench.core.format import bounded
from sdbench.core.snapshot import Snapshot
from sdbench.core.trial.row import concluded

REFUSED_SECONDS = 3 * STUCK_SECONDS
"""How long to retry after a final refusal: policies and rights are rolled out piece by piece."""

RIGHT = "cannot create resource"
DENIED = ("denied", "ValidatingAdmissionPolicy")


class CreateError(Enum):
    """The kind of refusal."""

    UNANSWERED = "unanswered"
    """A webhook could not be called."""
    FORBIDDEN = "forbidden"
    INVALID = "invalid"


@dataclass(frozen=True)
class Meaning:
    """The meaning of a refusal."""

    brief: str
    reason: Reason | None = None
    """The reason of a refusal that will not pass by itself."""
    consequence: Consequence = Consequence.STOPS_SWEEP


def with_create_error(snapshot: Snapshot, trial: int, kind: CreateError, said: str) -> Status:
    """The stored status with the refusal in that Trial's row."""
    status = snapshot.benchmark.status
    rows = (row_after_create_error(row, kind, said, snapshot) if row.trial == trial else row for row in status.trials)
    return status.model_copy(update={"trials": tuple(rows)})


def row_after_create_error(row: TrialRow, kind: CreateError, said: str, snapshot: Snapshot) -> TrialRow:
    """The row of an Attempt whose job has just been refused with this message."""
    meaning = _meaning(kind, said)
    sentence = f"{meaning.brief}: {said}"
    due = row.queued_at + timedelta(seconds=REFUSED_SECONDS) if row.queued_at is not None else None
    # Only a refusal that has just happened counts: an older one may not hold any more.
    if meaning.reason is not None and due is not None and due <= snapshot.now:
        return concluded(row, Diagnosis(meaning.reason, sentence, meaning.consequence), snapshot)
    return row.model_copy(update={"message": bounded(sentence)})


def _meaning(kind: CreateError, said: str) -> Meaning:
    # Without a reason it may pass: the Attempt waits until limits.queuedSeconds.
    if kind is CreateError.UNANSWERED:
        return Meaning("A webhook of the cluster cannot be asked for the job; it is tried again")
    if kind is CreateError.FORBIDDEN:
        # The API server's authorization and quotas answer in fixed words; whatever else forbids is a policy.
        if RIGHT in said:
            return Meaning("The operator may not create PyTorchJobs in this namespace; grant it by the chart's rules")
        if BY_QUOTA.search(said):
            return Meaning("A quota of the namespace has no room for another PyTorchJob; raise it or delete old ones")
        if UNCOUNTED_QUOTA.search(said):
            return Meaning("A quota of the namespace is not counted yet; it is tried again")
    if kind is CreateError.FORBIDDEN or any(word in said for word in DENIED):
        # Another Point may be small enough for the policy.
        sentence = "The cluster's policies refuse the job; ask whoever administers them"
        return Meaning(sentence, Reason.PODS_FORBIDDEN, Consequence.ENDS_POINT)
    sentence = "The cluster calls the job invalid; run a training-operator of version 1.9.4 or later, or report a bug"
    return Meaning(sentence, Reason.CONFIG_INVALID)
