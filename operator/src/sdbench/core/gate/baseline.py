"""Compares a Point with the same Point of the baseline, by Welch's interval against the largest loss that passes.

| interval of (baseline − new) / baseline | verdict |
|---|---|
| high end ≤ maxRegression | Pass |
| low end > maxRegression | Fail |
| the limit is inside | InsufficientData: more repeats would tell |

Both sides are means over the repeats of median images/s. The same Point has the same label, model, image size and
global batch, and ran on the same kind of device. Everything else may differ: it is what is compared. The baseline's
rates are known before this Benchmark has measured anything; from then on its devices must match, too.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec_gate import Baseline
from sdbench.api.status import ConditionType, PointRow
from sdbench.api.status_gate import ComparisonRow, FindingRow, Limit, Verdict
from sdbench.core.format import bounded, decimal
from sdbench.core.measure.environments import device_difference, disqualification, environments_of
from sdbench.core.measure.references import CompletedBenchmark, Lookup, ReferenceUnavailable
from sdbench.core.measure.statistics import Interval, RepeatStatistics, regression
from sdbench.core.plan.grid import Point
from sdbench_trainer.run import division

PLACES = 6
"""Decimals to which a regression is shown."""

EXACT = 12
"""Decimals to which it is compared: (3 - 2.94) / 3 is no more than 0.02, though in binary it is."""


def compared(
    asked: Baseline, point: Point, benchmark: Benchmark, source: Lookup
) -> tuple[FindingRow, ComparisonRow | None]:
    """The finding for a Point, and its comparison; no comparison if one of the two Points may not be judged."""
    try:
        base = source(asked.name)
        mine = _judged(_row(point.label, benchmark), benchmark, "")
        theirs = _judged(_twin(point, mine, base), base.benchmark, f"in Benchmark {asked.name}, ")
        _refuse_other_devices(point, benchmark, base)
    except ReferenceUnavailable as error:
        return _undecided(asked, point, str(error)), None
    interval = regression(_repeats(mine), _repeats(theirs))
    return _decided(asked, point, interval), _comparison(mine, theirs, interval)


def _row(label: str, benchmark: Benchmark) -> PointRow | None:
    return next((row for row in benchmark.status.points if row.point == label), None)


def _judged(row: PointRow | None, benchmark: Benchmark, where: str) -> PointRow:
    """The row, if it can be compared. Raises ReferenceUnavailable, whose text begins with `where`."""
    disqualified = disqualification(row, benchmark.spec)
    if row is None or disqualified:
        raise ReferenceUnavailable(f"{where}{disqualified}")
    if row.repeats < 2:
        raise ReferenceUnavailable(f"{where}it has {row.repeats} repeat, and a comparison needs 2 repeats")
    spread = row.median_standard_deviation
    if spread is None or not spread.is_finite():
        raise ReferenceUnavailable(f"{where}its spread is not known")
    if not row.median_images_per_second.is_finite() or row.median_images_per_second <= 0:
        raise ReferenceUnavailable(f"{where}its rate is not known")
    return row


def _twin(point: Point, mine: PointRow, base: CompletedBenchmark) -> PointRow | None:
    """The baseline's Point, or None if it is not measured. Raises ReferenceUnavailable for another training."""
    for other, row in base.points:
        if other.label == point.label:
            for what, own, theirs in (
                ("model", point.config.model.value, other.config.model.value),
                ("imageSize", point.config.image_size, other.config.image_size),
                ("globalBatchSize", mine.global_batch_size, row.global_batch_size),
            ):
                if own != theirs:
                    raise ReferenceUnavailable(f"its {what} is {own}, the baseline's is {theirs}")
            return row
    return None


def _refuse_other_devices(point: Point, benchmark: Benchmark, base: CompletedBenchmark) -> None:
    other = device_difference(
        environments_of(point.label, benchmark.status), environments_of(point.label, base.benchmark.status)
    )
    if other:
        raise ReferenceUnavailable(other)


def _repeats(row: PointRow) -> RepeatStatistics:
    return RepeatStatistics(row.repeats, float(row.median_images_per_second), float(row.median_standard_deviation or 0))


def _undecided(asked: Baseline, point: Point, why: str) -> FindingRow:
    bound = f"at most {asked.max_regression:f} is asked for"
    message = f"{Limit.REGRESSION} of {point.label} against {asked.name} cannot be judged ({bound}): {why}"
    return _finding(asked, point, Verdict.INSUFFICIENT_DATA, None, message)


def _decided(asked: Baseline, point: Point, found: Interval) -> FindingRow:
    most, low, high = float(asked.max_regression), round(found.low, EXACT), round(found.high, EXACT)
    said = f"{Limit.REGRESSION} of {point.label} against {asked.name} is {_share(found.value)}"
    between = f"95 % between {_share(low)} and {_share(high)}"
    if low > most:
        message = f"{said} ({between}): the gate asks for at most {asked.max_regression:f}"
        return _finding(asked, point, Verdict.FAIL, found.value, message)
    if high <= most:
        message = f"{said} ({between}), at most {asked.max_regression:f}"
        return _finding(asked, point, Verdict.PASS, found.value, message)
    message = f"{said}, but the interval contains the limit {asked.max_regression:f} ({between}): take more repeats"
    return _finding(asked, point, Verdict.INSUFFICIENT_DATA, found.value, message)


def _finding(asked: Baseline, point: Point, verdict: Verdict, value: float | None, message: str) -> FindingRow:
    return FindingRow(
        limit=Limit.REGRESSION,
        point=point.label,
        verdict=verdict,
        value=None if value is None else _share(value),
        bound=f"{asked.max_regression:f}",
        message=bounded(message),
    )


def _comparison(mine: PointRow, theirs: PointRow, found: Interval) -> ComparisonRow:
    return ComparisonRow(
        point=mine.point,
        repeats=mine.repeats,
        images_per_second=mine.median_images_per_second,
        coefficient_of_variation=decimal(_variation(mine), PLACES),
        baseline_repeats=theirs.repeats,
        baseline_images_per_second=theirs.median_images_per_second,
        baseline_coefficient_of_variation=decimal(_variation(theirs), PLACES),
        regression=_share(found.value),
        regression_low=_share(found.low),
        regression_high=_share(found.high),
    )


def _variation(row: PointRow) -> float:
    of = _repeats(row)
    return of.standard_deviation / of.mean


def _share(value: float) -> str:
    return f"{value:.{PLACES}f}"


Planned = Callable[[Benchmark], Mapping[str, Point]]
"""The Points of a Benchmark by label; empty if this version cannot plan it."""


def baseline_rates(benchmark: Benchmark, base: Benchmark, planned: Planned) -> Iterator[tuple[Point, Decimal]]:
    """The baseline's median images/s of each Point that the two have in common."""
    if base.status.true_condition(ConditionType.COMPLETE) is None:
        return
    points, others = planned(benchmark), planned(base)
    for row in base.status.points:
        point, other = points.get(row.point), others.get(row.point)
        if point and other and _same_training(point, other, row) and _same_devices(row.point, benchmark, base):
            yield point, row.median_images_per_second


def _same_training(point: Point, other: Point, row: PointRow) -> bool:
    mine, theirs = point.config, other.config
    batch = division(mine, point.devices).run
    return (mine.model, mine.image_size, batch) == (theirs.model, theirs.image_size, row.global_batch_size)


def _same_devices(label: str, benchmark: Benchmark, base: Benchmark) -> bool:
    mine = environments_of(label, benchmark.status)
    return not mine or not device_difference(mine, environments_of(label, base.status))
