"""What do the measured Trials say about each Point, and the Benchmark in one line?"""

from decimal import Decimal

from sdbench.api.spec import Spec
from sdbench.api.status import PointRow, RowMeasurement, Summary, TrialPhase, TrialRow
from sdbench.api.verdict import GateRow
from sdbench.core.plan import Point, Trial
from sdbench.core.published import decimal, rounded_half_up
from sdbench.core.references import NO_OTHERS, Source
from sdbench.core.rows import TERMINAL
from sdbench.core.stages import extension
from sdbench.core.statistics import sample

PLACES = 6
"""Decimals of a Point's aggregates."""

SECONDS_PER_HOUR = 3_600
PENNIES_BELOW = 1_000
"""A cost from here on is shown without cents."""


def point_rows(
    rows: tuple[TrialRow, ...], trials: tuple[Trial, ...], spec: Spec, others: Source = NO_OTHERS
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
            made.append(_point_row(point, measured[label], rate / base, spec, others))
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
    point: Point, measured: list[RowMeasurement], efficiency: Decimal, spec: Spec, others: Source
) -> PointRow:
    rate = _mean([one.images_per_second for one in measured])
    spread = sample([one.images_per_second for one in measured])
    utilisations = [one.mfu_ratio for one in measured if one.mfu_ratio is not None]
    batch = point.config.global_batch_size
    return PointRow(
        point=point.label,
        devices=point.devices,
        repeats=len(measured),
        images_per_second=decimal(rate, PLACES),
        median_images_per_second=decimal(_mean([one.median_images_per_second for one in measured]), PLACES),
        standard_deviation=_known(spread.standard_deviation),
        coefficient_of_variation=_known(spread.coefficient_of_variation),
        interval_low=_known(spread.low),
        interval_high=_known(spread.high),
        images_per_second_per_device=decimal(rate / point.devices, PLACES),
        scaling_efficiency=decimal(efficiency, PLACES),
        data_wait_ratio_max=decimal(max(one.data_wait_ratio_max for one in measured), PLACES),
        mfu_ratio=decimal(_mean(utilisations), PLACES) if len(utilisations) == len(measured) else None,
        global_batch_size=batch,
        device_microbatch_size=min(point.config.device_microbatch_size, batch // point.devices),
        **extension(point, rate, spec, others),
    )


def _known(value: float | None) -> Decimal | None:
    """A statistic that needs two repeats; an interval of a rate does not go below 0."""
    return decimal(max(0.0, value), PLACES) if value is not None else None


def summary(
    rows: tuple[TrialRow, ...], points: tuple[PointRow, ...], spent_device_seconds: int, verdict: GateRow | None = None
) -> Summary:
    """The line of `kubectl get`: the fastest Point of the largest measured count."""
    ended = sum(row.phase in TERMINAL for row in rows)
    progress = f"{ended}/{len(rows)}"
    spent = _rounded(Decimal(spent_device_seconds) / SECONDS_PER_HOUR, 2)
    if not points:
        return Summary(trials=progress, spent_device_hours=spent, verdict=verdict and verdict.verdict)
    largest = max(point.devices for point in points)
    best = max((point for point in points if point.devices == largest), key=lambda point: point.images_per_second)
    return Summary(
        trials=progress,
        devices=best.devices,
        images_per_second=_rounded(best.images_per_second, 1),
        scaling_efficiency=_rounded(best.scaling_efficiency, 2),
        days=_rounded(best.days, 2) if best.days is not None else None,
        cost=_rounded(best.cost, 0 if best.cost >= PENNIES_BELOW else 2) if best.cost is not None else None,
        verdict=verdict.verdict if verdict is not None else None,
        mfu=_rounded(best.mfu_ratio, 3) if best.mfu_ratio is not None else None,
        coefficient_of_variation=_ratio(best.coefficient_of_variation),
        spent_device_hours=spent,
    )


def _ratio(value: Decimal | None) -> str | None:
    return _rounded(value, 4) if value is not None else None


def _rounded(value: Decimal, places: int) -> str:
    return format(rounded_half_up(value, places), "f")
