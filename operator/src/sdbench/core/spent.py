"""What has the benchmark itself cost? Device-seconds from scheduled to released, and their price.

An Attempt is charged for all of its devices from the moment at which its last pod was bound to a node until none of
its pods holds a device: pulls and teardowns cost money, too. One that ends before all of its pods were bound is charged
for those that were, up to its end.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sdbench.api.status import TrialRow
from sdbench.core.snapshot import AttemptState, Snapshot

SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True)
class Spent:
    """Of all Attempts that are over."""

    device_seconds: int
    hourly_price: Decimal

    @property
    def device_hours(self) -> Decimal:
        return Decimal(self.device_seconds) / SECONDS_PER_HOUR

    @property
    def cost(self) -> Decimal:
        return self.device_hours * self.hourly_price


def device_seconds(row: TrialRow) -> int:
    """What the row's released Attempt has cost."""
    if row.scheduled_at is None or row.released_at is None:
        return 0
    return int(_since(row.scheduled_at, row.released_at) * row.devices)


def running_cost(row: TrialRow, snapshot: Snapshot) -> Decimal:
    """What the row's Attempt, which is not released, has cost until now."""
    if row.scheduled_at is not None:
        return _since(row.scheduled_at, snapshot.now) * row.devices
    return next(
        (partly_held(state, row, snapshot.now) for state in snapshot.attempts if state.name == row.job), Decimal(0)
    )


def running_devices(row: TrialRow, snapshot: Snapshot) -> Decimal:
    """How many devices the row's Attempt, which is not released, is charged for at this moment."""
    if row.scheduled_at is not None:
        return Decimal(row.devices)
    held = [state for state in snapshot.attempts if state.name == row.job and not state.foreign]
    return sum((_of_pod(state, row) for state in held for pod in state.pods if pod.scheduled_at), Decimal(0))


def partly_held(state: AttemptState, row: TrialRow, now: datetime) -> Decimal:
    """Device-seconds of those pods that are bound to a node while others are not."""
    bound = [] if state.foreign else [pod.scheduled_at for pod in state.pods if pod.scheduled_at is not None]
    return sum((_since(time, now) * _of_pod(state, row) for time in bound), Decimal(0))


def _of_pod(state: AttemptState, row: TrialRow) -> Decimal:
    return Decimal(row.devices) / max(1, state.planned_pods)


def _since(begin: datetime, end: datetime) -> Decimal:
    return max(Decimal(0), Decimal(str((end - begin).total_seconds())))
