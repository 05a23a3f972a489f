"""What follows for the sweep when an Attempt ends for a reason? One table.

* Stops the sweep: every Trial would share the cause.
* Ends its Point: its other repeats would share the cause, other Points need not.
* Is retried: another Attempt while `retries` last. Suspension and preemption are retried without being counted.
* Backs off: it holds devices that others wait for, and lacks some itself; uncounted, within `limits.queuedSeconds`.
* Gives up: this Trial only, and nothing follows from it.
* Spares: the Trial is not needed; no failure, and nothing is missing without it.
"""

from enum import Enum

from sdbench.api.status import Reason, Scope


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
