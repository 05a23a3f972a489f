"""Starts the next Trials in the plan's order; none overtakes another."""

from collections.abc import Iterable

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import ConditionType, TrialPhase, TrialRow
from sdbench.core.attempt.facts import is_ours
from sdbench.core.budget import BudgetState
from sdbench.core.format import WAITS_FOR_OTHERS
from sdbench.core.plan.caps import devices_at_once
from sdbench.core.snapshot import Snapshot
from sdbench.core.trial import backoff
from sdbench.core.trial.row import LIVE, adopt_unknown_attempt, may_hold_devices, started
from sdbench.core.trial.teardown import teardown_pending

Rows = tuple[TrialRow, ...]


def start_next(rows: Rows, found: BudgetState | None, snapshot: Snapshot) -> Rows:
    """The rows, with those started whose turn it is."""
    now = []
    for row in rows:
        attempts = (state for state in snapshot.attempts if state.trial == row.trial and is_ours(state, snapshot))
        last = max((state.attempt for state in attempts), default=0)
        # A status that was restored may lack Attempts that exist: count on from them, so that no name is used twice.
        lost = row.phase is TrialPhase.PENDING and last > row.attempt
        now.append(adopt_unknown_attempt(row, last, snapshot) if lost else row)
    # Nothing is started beside an Attempt that is no longer wanted: the two would share the hosts.
    if snapshot.benchmark.spec.suspend or teardown_pending(tuple(now), snapshot):
        return tuple(now)
    for index, row in enumerate(now):
        if row.phase is TrialPhase.PENDING:
            if not _fits(row, tuple(now), found, snapshot) or _taken_by_others(tuple(now), snapshot):
                # A later Trial that would fit does not overtake: the order is the plan's.
                break
            now[index] = started(row, snapshot)
    return tuple(now)


def blocked_by_concurrency_cap(rows: Rows, found: BudgetState | None, snapshot: Snapshot) -> bool:
    """Whether only the administrator's cap on all Benchmarks' Trials keeps the next one waiting."""
    following = next((row for row in rows if row.phase is TrialPhase.PENDING), None)
    if following is None or snapshot.benchmark.spec.suspend or teardown_pending(rows, snapshot):
        return False
    return _fits(following, rows, found, snapshot) and _taken_by_others(rows, snapshot)


def _fits(row: TrialRow, rows: Rows, found: BudgetState | None, snapshot: Snapshot) -> bool:
    """Whether the Benchmark itself has room for the Trial."""
    live = [other for other in rows if other.phase in LIVE]
    devices = row.devices + sum(other.devices for other in live)
    return (
        len(live) < snapshot.benchmark.spec.parallelism
        # limits.maxDevices, or the administrator's bound.
        and devices <= devices_at_once(snapshot.benchmark.spec, snapshot.defaults.bounds).count
        # It gave its devices back, so that another gang gets them first.
        and not backoff.is_backing_off(row, snapshot)
        # What the running Attempts will still need is set aside.
        and (found is None or found.can_afford(row, rows))
    )


def _taken_by_others(rows: Rows, snapshot: Snapshot) -> bool:
    """Whether as many Trials of all Benchmarks run as the administrator allows."""
    most = snapshot.defaults.bounds.concurrent_trials
    return most is not None and snapshot.others_running + sum(row.phase in LIVE for row in rows) >= most


def others_running(of: Benchmark, known: Iterable[Benchmark]) -> int:
    """The number of Trials of other Benchmarks that count against the administrator's cap."""
    count = 0
    for other in known:
        if other.metadata.uid == of.metadata.uid:
            continue
        count += sum(may_hold_devices(row) for row in other.status.trials)
        wanted = other.metadata.deletion_timestamp is None and not (other.spec.suspend or other.spec.cancel)
        running = [one.reason for one in other.status.conditions if one.type is ConditionType.RUNNING]
        # One for each Benchmark that was created earlier and waits as well, so that the oldest goes first.
        count += wanted and WAITS_FOR_OTHERS in running and _age(other) < _age(of)
    return count


def _age(benchmark: Benchmark) -> tuple[bool, str, str]:
    """A key in the order of creation; the UID decides between two of the same second."""
    created = benchmark.metadata.creation_timestamp
    return created is None, created.isoformat() if created is not None else "", benchmark.metadata.uid
