"""Tracks the budget: what is left, which Trials it can still pay for, and when it is exhausted.

    left   = budget - spent (released Attempts) - running cost (of what is not released yet)
    needed = what the dearest released Attempt of the Point has cost, but at least its warm-up: devices x warmupSeconds

An Attempt is charged for all of its devices from the moment its last pod was bound to a node until none of its pods
holds a device, because pulls and teardowns cost money, too. An Attempt that ends before all of its pods were bound is
charged for those that were, up to its end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt.diagnose import Diagnosis, diagnosis
from sdbench.core.format import SECONDS_PER_HOUR
from sdbench.core.plan.caps import Budget, budget
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import Snapshot
from sdbench.core.trial.row import LIVE, given_up, may_hold_devices

FAR = Decimal(366 * 24) * SECONDS_PER_HOUR
"""The longest wait in seconds."""

KEPT = "what was measured is kept; ask for the rest in another benchmark"


@dataclass(frozen=True)
class BudgetState:
    """The budget of a Benchmark at one moment."""

    budget: Budget
    left: Decimal
    """Device-seconds; may be negative."""
    needs: Mapping[int, Decimal]
    """The device-seconds that an Attempt at each trial should cost."""
    snapshot: Snapshot

    def can_afford(self, row: TrialRow, rows: tuple[TrialRow, ...]) -> bool:
        """Whether another Attempt of the row fits beside those that run."""
        running = [
            self.needs[other.trial] - running_cost(other, self.snapshot) for other in rows if other.phase in LIVE
        ]
        promised = sum((need for need in running if need > 0), Decimal(0))
        return self.left > 0 and self.needs[row.trial] <= self.left - promised


def budget_state(
    rows: tuple[TrialRow, ...], spent: int, planned: tuple[Trial, ...], snapshot: Snapshot
) -> BudgetState | None:
    """The state of the budget; None without a bound."""
    most = budget(snapshot.benchmark.spec, snapshot.defaults.bounds)
    if most is None:
        return None
    running = sum((running_cost(row, snapshot) for row in rows if may_hold_devices(row)), Decimal(0))
    dearest: dict[str, int] = {}
    for row in rows:
        dearest[row.point] = max(device_seconds(row), dearest.get(row.point, 0))
    warmups = [trial.point.devices * trial.point.config.window.warmup_seconds for trial in planned]
    needs = {row.trial: Decimal(max(warmups[row.trial], dearest[row.point])) for row in rows}
    return BudgetState(most, most.device_seconds - spent - running, needs, snapshot)


def exhausted(found: BudgetState | None) -> Diagnosis | None:
    """Why nothing of the Benchmark goes on; None while some of the budget is left."""
    if found is None or found.left > 0:
        return None
    # Running Attempts are stopped, too: the budget is only exceeded by what no decision can avoid, which is the time
    # until the stop is decided, and the teardown.
    hours = _hours(found.budget.device_seconds)
    return diagnosis(Reason.BUDGET_EXCEEDED, f"The budget of {hours}, {found.budget.named}, is used up; {KEPT}")


def exhausted_at(found: BudgetState | None, rows: tuple[TrialRow, ...]) -> datetime | None:
    """When nothing will be left if everything goes on as now; None if nothing is being consumed or left."""
    if found is None or found.left <= 0 or not any(row.phase in LIVE for row in rows):
        return None
    held = (row for row in rows if may_hold_devices(row))
    devices = sum((count for row in held for _, count in _charged(row, found.snapshot)), Decimal(0))
    # A budget may be of any size, and a date may not.
    return found.snapshot.now + timedelta(seconds=float(min(found.left / devices, FAR))) if devices else None


def give_up_unaffordable(
    rows: tuple[TrialRow, ...], found: BudgetState | None, snapshot: Snapshot
) -> tuple[TrialRow, ...]:
    """The rows, with those given up that need more than is left, once nothing runs any more."""
    # While anything holds devices, what is left still changes.
    if found is None or any(may_hold_devices(row) for row in rows):
        return rows
    left, whole = _hours(max(Decimal(0), found.left)), _hours(found.budget.device_seconds)
    kept = []
    for row in rows:
        if row.phase is TrialPhase.PENDING and not found.can_afford(row, rows):
            why = f"{left} are left of {whole}, {found.budget.named}; this trial needs {_hours(found.needs[row.trial])}"
            row = given_up(row, diagnosis(Reason.BUDGET_EXCEEDED, f"{why}: {KEPT}"), snapshot)
        kept.append(row)
    return tuple(kept)


def _hours(seconds: Decimal) -> str:
    return f"{seconds / SECONDS_PER_HOUR:.3f} device-hours"


@dataclass(frozen=True)
class Spent:
    """The cost of all Attempts that have released their devices."""

    device_seconds: int
    hourly_price: Decimal

    @property
    def device_hours(self) -> Decimal:
        return Decimal(self.device_seconds) / SECONDS_PER_HOUR

    @property
    def cost(self) -> Decimal:
        return self.device_hours * self.hourly_price


def device_seconds(row: TrialRow) -> int:
    """The cost of the row's released Attempt."""
    if row.scheduled_at is None or row.released_at is None:
        return 0
    return int(_since(row.scheduled_at, row.released_at) * row.devices)


def running_cost(row: TrialRow, snapshot: Snapshot) -> Decimal:
    """The cost until now of the row's Attempt, which is not released."""
    return sum((_since(begin, snapshot.now) * count for begin, count in _charged(row, snapshot)), Decimal(0))


def _charged(row: TrialRow, snapshot: Snapshot) -> Iterator[tuple[datetime, Decimal]]:
    """The numbers of devices that the row's Attempt, which is not released, is charged for, and since when."""
    if row.scheduled_at is not None:
        yield row.scheduled_at, Decimal(row.devices)
        return
    # Not all of its pods are bound yet: those that are have cost something.
    for state in snapshot.attempts:
        if state.name == row.job and not state.foreign:
            for pod in state.pods:
                if pod.scheduled_at is not None:
                    yield pod.scheduled_at, Decimal(row.devices) / max(1, state.planned_pods)


def _since(begin: datetime, end: datetime) -> Decimal:
    return max(Decimal(0), Decimal(str((end - begin).total_seconds())))
