"""What does it mean that the cluster refuses to create an Attempt's job? A hindrance, in the row from the first moment.

| refusal | reason | given up |
|---|---|---|
| the operator lacks the right; a quota of objects is used up | PodsForbidden | after limits.queuedSeconds |
| an admission policy or webhook denies it | PodsForbidden (its Point: another may be small enough) | after 60 s |
| the job is invalid: another version of its CRD, or a bug | ConfigInvalid | after 60 s |

A webhook or an API server that cannot answer refuses nothing: the pass is tried again, and nothing is counted.
"""

from datetime import timedelta

from sdbench.api.spec import Limits
from sdbench.api.status import Reason, TrialRow
from sdbench.core.consequences import Consequence
from sdbench.core.hindrances import STUCK_SECONDS, Hindrance
from sdbench.core.world import World

REFUSED_SECONDS = 3 * STUCK_SECONDS
"""How long a refusal for good is borne: policies and rights are rolled out piece by piece."""

FORBIDDEN = "Forbidden"
RIGHT = "cannot create resource"
DENIED = ("denied", "admission webhook")


def refusal(row: TrialRow, world: World) -> Hindrance | None:
    """What the cluster said when the row's job was to be created; None: nothing, or not in this pass."""
    said = next((one for one in world.refusals if one.about == row.job), None)
    if said is None or row.queued_at is None:
        return None
    forbidden = said.reason == FORBIDDEN
    reason, brief, consequence, seconds = _meaning(forbidden, said.message, world.benchmark.spec.limits)
    return Hindrance(reason, brief, said.message, row.queued_at + timedelta(seconds=seconds), consequence)


def _meaning(forbidden: bool, said: str, limits: Limits) -> tuple[Reason, str, Consequence, int]:
    if forbidden and RIGHT in said:
        brief = "The operator may not create PyTorchJobs in this namespace; grant it by the chart's rules"
        return Reason.PODS_FORBIDDEN, brief, Consequence.STOPS_SWEEP, limits.queued_seconds
    if forbidden and "quota" in said:
        brief = "A quota of the namespace has no room for another PyTorchJob; raise it or delete old ones"
        return Reason.PODS_FORBIDDEN, brief, Consequence.STOPS_SWEEP, limits.queued_seconds
    if forbidden or any(word in said for word in DENIED):
        brief = "The cluster's policies refuse the job; ask whoever administers them"
        return Reason.PODS_FORBIDDEN, brief, Consequence.ENDS_POINT, REFUSED_SECONDS
    brief = "The cluster calls the job invalid; use a training-operator of version 1.9.4 or later, or report a bug"
    return Reason.CONFIG_INVALID, brief, Consequence.STOPS_SWEEP, REFUSED_SECONDS
