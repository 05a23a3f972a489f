"""Builds the line of `kubectl get`: the fastest Point of the largest measured count."""

from decimal import Decimal

from sdbench.api.status import PointRow, Summary, TrialRow
from sdbench.api.status_gate import GateRow
from sdbench.core.budget import Spent
from sdbench.core.format import rounded_half_up
from sdbench.core.trial.row import TERMINAL

PENNIES_BELOW = 1_000
"""A cost from here on is shown without cents."""


def summary(
    rows: tuple[TrialRow, ...], points: tuple[PointRow, ...], spent: Spent, verdict: GateRow | None = None
) -> Summary:
    """The line of `kubectl get`: the fastest Point of the largest measured count."""
    ended = sum(row.phase in TERMINAL for row in rows)
    progress = f"{ended}/{len(rows)}"
    hours, cost = _rounded(spent.device_hours, 2), _money(spent.cost)
    if not points:
        word = verdict.verdict if verdict is not None else None
        return Summary(trials=progress, verdict=word, spent_device_hours=hours, spent_cost=cost)
    largest = max(point.devices for point in points)
    best = max((point for point in points if point.devices == largest), key=lambda point: point.images_per_second)
    return Summary(
        trials=progress,
        devices=best.devices,
        images_per_second=_rounded(best.images_per_second, 1),
        scaling_efficiency=_rounded(best.scaling_efficiency, 2),
        days=_rounded(best.days, 2) if best.days is not None else None,
        cost=_money(best.cost) if best.cost is not None else None,
        verdict=verdict.verdict if verdict is not None else None,
        mfu=_rounded(best.mfu_ratio, 3) if best.mfu_ratio is not None else None,
        coefficient_of_variation=_ratio(best.median_coefficient_of_variation),
        spent_device_hours=hours,
        spent_cost=cost,
    )


def _money(value: Decimal) -> str:
    return _rounded(value, 0 if value >= PENNIES_BELOW else 2)


def _ratio(value: Decimal | None) -> str | None:
    return _rounded(value, 4) if value is not None else None


def _rounded(value: Decimal, places: int) -> str:
    return format(rounded_half_up(value, places), "f")
