"""Whose turn is it? The Trials that wait start in the plan's order; nobody overtakes.

A Trial starts once all of this holds, and until then keeps its place:

* the Benchmark is not suspended, and nothing that is not wanted any more may hold devices;
* fewer than spec.parallelism Trials run, and with its devices those of all are at most limits.maxDevices;
* its back-off is over, and what is left of the budget pays for it;
* of all Benchmarks together, fewer Trials run than the administrator allows.
"""

from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt.facts import ours
from sdbench.core.budget import Purse
from sdbench.core.plan.caps import devices_at_once
from sdbench.core.snapshot import World
from sdbench.core.trial import backoff
from sdbench.core.trial import row as row_states
from sdbench.core.trial.row import LIVE
from sdbench.core.trial.teardown import in_the_way

Rows = tuple[TrialRow, ...]


def with_the_next(rows: Rows, found: Purse | None, world: World) -> Rows:
    """The rows, those started whose turn it is."""
    now = [_numbered(row, world) for row in rows]
    if world.benchmark.spec.suspend or in_the_way(tuple(now), world):
        return tuple(now)
    for index, row in enumerate(now):
        if row.phase is TrialPhase.PENDING:
            if not _fits(row, tuple(now), found, world) or _taken_by_others(tuple(now), world):
                break
            now[index] = row_states.started(row, world)
    return tuple(now)


def waits_for_others(rows: Rows, found: Purse | None, world: World) -> bool:
    """Whether nothing but other Benchmarks' Trials keeps the next one waiting."""
    following = next((row for row in rows if row.phase is TrialPhase.PENDING), None)
    if following is None or world.benchmark.spec.suspend or in_the_way(rows, world):
        return False
    return _fits(following, rows, found, world) and _taken_by_others(rows, world)


def _fits(row: TrialRow, rows: Rows, found: Purse | None, world: World) -> bool:
    """Whether the Benchmark itself has room for the Trial."""
    live = [other for other in rows if other.phase in LIVE]
    devices = row.devices + sum(other.devices for other in live)
    return (
        len(live) < world.benchmark.spec.parallelism
        and devices <= devices_at_once(world.benchmark.spec, world.defaults.bounds).count
        and not backoff.waits(row, world)
        and (found is None or found.pays(row, rows))
    )


def _taken_by_others(rows: Rows, world: World) -> bool:
    """Whether as many Trials of all Benchmarks run as the administrator allows."""
    most = world.defaults.bounds.concurrent_trials
    return most is not None and world.others_running + sum(row.phase in LIVE for row in rows) >= most


def _numbered(row: TrialRow, world: World) -> TrialRow:
    """A waiting row that counts from the last Attempt of its Trial, even if its status was lost: no name twice."""
    if row.phase is not TrialPhase.PENDING:
        return row
    known = [state.attempt for state in world.attempts if state.trial == row.trial and ours(state, world)]
    last = max(known, default=0)
    if last <= row.attempt:
        return row
    return row_states.forgotten(row, last, world)
