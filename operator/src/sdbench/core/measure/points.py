"""What do the measured Trials say about each Point, and the Benchmark in one line?"""

from decimal import Decimal

from sdbench.api.spec import Spec
from sdbench.api.status import EnvironmentRow, PointRow, RowMeasurement, Status, Summary, TrialPhase, TrialRow
from sdbench.api.status_gate import GateRow
from sdbench.core.format import decimal, rounded_half_up
from sdbench.core.measure.environments import mixed
from sdbench.core.measure.evidence import RunEnvironment, environments_of
from sdbench.core.measure.observations import PLACES, batch_truth, extremes, median_spread, optional_statistic
from sdbench.core.measure.references import NO_OTHERS, Lookup
from sdbench.core.measure.stages import OwnRate, projection_fields
from sdbench.core.measure.statistics import sample
from sdbench.core.plan.grid import Point, Trial
from sdbench.core.spent import Spent
from sdbench.core.trial.row import TERMINAL

PENNIES_BELOW = 1_000
"""A cost from here on is shown without cents."""


def point_rows(
    rows: tuple[TrialRow, ...],
    trials: tuple[Trial, ...],
    spec: Spec,
    others: Lookup = NO_OTHERS,
    *,
    environments: tuple[EnvironmentRow, ...] = (),
) -> tuple[PointRow, ...]:
    """A row for each measured Point, in the plan's order: counts ascend. `others` has what stages refer to."""
    points = {trial.point.label: trial.point for trial in trials}
    measured = _measurements(rows)
    made: list[PointRow] = []
    smallest: dict[str, Decimal] = {}
    for label, point in points.items():
        if label in measured:
            rate = _per_device(measured[label], point)
            base = smallest.setdefault(point.knobs, rate)
            ran_on = environments_of(label, Status(trials=rows, environments=environments))
            row = _point_row(point, measured[label], rate / base, ran_on, spec, others)
            differs = mixed((one for one in rows if one.point == label and one.measurement), environments)
            made.append(row.model_copy(update={"mixed": differs}))
    return tuple(made)


def _measurements(rows: tuple[TrialRow, ...]) -> dict[str, list[RowMeasurement]]:
    """Of each measured Point, by its label."""
    found: dict[str, list[RowMeasurement]] = {}
    for row in rows:
        if row.phase is TrialPhase.SUCCEEDED and row.measurement is not None:
            found.setdefault(row.point, []).append(row.measurement)
    return found


def _mean(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _per_device(measured: list[RowMeasurement], point: Point) -> Decimal:
    return _mean([one.images_per_second for one in measured]) / point.devices


def _point_row(
    point: Point,
    measured: list[RowMeasurement],
    efficiency: Decimal,
    ran_on: tuple[RunEnvironment | None, ...],
    spec: Spec,
    others: Lookup,
) -> PointRow:
    rate = _mean([one.images_per_second for one in measured])
    spread = sample([one.images_per_second for one in measured])
    utilisations = [one.mfu_ratio for one in measured if one.mfu_ratio is not None]
    return PointRow(
        point=point.label,
        devices=point.devices,
        repeats=len(measured),
        images_per_second=decimal(rate, PLACES),
        standard_deviation=optional_statistic(spread.standard_deviation),
        coefficient_of_variation=optional_statistic(spread.coefficient_of_variation),
        interval_low=optional_statistic(spread.low),
        interval_high=optional_statistic(spread.high),
        **median_spread(measured),
        images_per_second_per_device=decimal(rate / point.devices, PLACES),
        scaling_efficiency=decimal(efficiency, PLACES),
        **extremes(measured),
        mfu_ratio=decimal(_mean(utilisations), PLACES) if len(utilisations) == len(measured) else None,
        **batch_truth(point, measured),
        **projection_fields(point, OwnRate(rate, ran_on), spec, others),
    )


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
