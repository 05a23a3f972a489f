"""Builds the line of `kubectl get`: the fastest Point of the largest measured count."""

from decimal import Decimal

from sdbench.api.reasons import Reason
from sdbench.api.status import PointRow, Summary, TrialPhase, TrialRow
from sdbench.api.status_gate import GateRow
from sdbench.core.attempt.blockers import visible_blocker
from sdbench.core.budget import Spent
from sdbench.core.format import JOB_REFUSED, WAITS_FOR_DEVICES, WAITS_FOR_OTHERS, rounded_half_up
from sdbench.core.snapshot import Snapshot
from sdbench.core.trial.outcome import Outcome, first_failure
from sdbench.core.trial.row import LIVE, TERMINAL, image
from sdbench.core.trial.teardown import leftovers_of_previous

PENNIES_BELOW = 1_000
"""A cost from here on is shown without cents."""


def summary(
    rows: tuple[TrialRow, ...],
    points: tuple[PointRow, ...],
    spent: Spent,
    verdict: GateRow | None = None,
    reason: str = "",
) -> Summary:
    """The line of `kubectl get`: the fastest Point of the largest measured count."""
    ended = sum(row.phase in TERMINAL for row in rows)
    line = Summary(
        trials=f"{ended}/{len(rows)}",
        reason=reason,
        verdict=verdict.verdict if verdict is not None else None,
        spent_device_hours=_rounded(spent.device_hours, 2),
        spent_cost=_money(spent.cost),
    )
    if not points:
        return line
    best = best_point(points)
    spread = best.median_coefficient_of_variation
    measured = {
        "devices": best.devices,
        "images_per_second": _rounded(best.images_per_second, 1),
        "scaling_efficiency": _rounded(best.scaling_efficiency, 2),
        "days": _rounded(best.days, 2) if best.days is not None else None,
        "cost": _money(best.cost) if best.cost is not None else None,
        "mfu": _rounded(best.mfu_ratio, 3) if best.mfu_ratio is not None else None,
        "coefficient_of_variation": _rounded(spread, 4) if spread is not None else None,
    }
    return line.model_copy(update=measured)


def best_point(points: tuple[PointRow, ...]) -> PointRow:
    """The fastest Point of the largest measured count."""
    return max(points, key=lambda point: (point.devices, point.images_per_second))


def summary_reason(rows: tuple[TrialRow, ...], end: Outcome | None, others_first: bool, snapshot: Snapshot) -> str:
    """Why the Benchmark waits, or what failed; empty when all is well."""
    if end is not None and not end.complete:
        return end.reason
    # A failure stays worth showing while the other Trials go on, and once they have ended well.
    if any(row.phase is TrialPhase.FAILED for row in rows):
        return first_failure(rows).reason or Reason.UNKNOWN
    if end is not None:
        return ""
    if snapshot.benchmark.spec.suspend:
        return Reason.SUSPENDED
    live = [row for row in rows if row.phase in LIVE]
    void = [row.reason for row in rows if row.phase not in LIVE | TERMINAL and row.reason is not None]
    found = [
        # What blocks a live Attempt, or keeps its job from being created.
        *(blocked for row in live if (blocked := _blocked_by(row, snapshot))),
        # The end of a void Attempt, while no other one runs.
        *(void if not live else ()),
        *((WAITS_FOR_DEVICES,) if leftovers_of_previous(snapshot) else ()),
        *((WAITS_FOR_OTHERS,) if others_first else ()),
    ]
    return found[0] if found else ""


def _blocked_by(row: TrialRow, snapshot: Snapshot) -> str:
    if row.job_uid is None:
        # The cluster refused to create the job, and the row says with which words.
        return JOB_REFUSED if row.message else ""
    limits = snapshot.benchmark.spec.limits
    for state in snapshot.attempts:
        if state.name == row.job and (blocker := visible_blocker(row, state, limits, image(snapshot))):
            return blocker.reason
    return ""


def _money(value: Decimal) -> str:
    return _rounded(value, 0 if value >= PENNIES_BELOW else 2)


def _rounded(value: Decimal, places: int) -> str:
    return format(rounded_half_up(value, places), "f")
