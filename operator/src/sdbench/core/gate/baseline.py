"""Compares a Point with the same Point of the baseline, by Welch's interval against the largest loss that passes.

The interval is that of (baseline − new) / baseline. Both sides are means over the repeats of median images/s. The same
Point has the same label, model, image size and global batch, and ran on the same kind of device. Everything else may
differ: it is what is compared.
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
from sdbench.core.measure.statistics import Interval, Sample, regression
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
        own = next((row for row in benchmark.status.points if row.point == point.label), None)
        mine = _judged(own, benchmark, "")
        theirs = _judged(_same_point(point, mine, base), base.benchmark, f"in Benchmark {asked.name}, ")
        ran_on = environments_of(point.label, benchmark.status)
        if different := device_difference(ran_on, environments_of(point.label, base.benchmark.status)):
            raise ReferenceUnavailable(different)
    except ReferenceUnavailable as error:
        what = f"{Limit.REGRESSION} of {point.label} against {asked.name}"
        message = f"{what} cannot be judged (at most {asked.max_regression:f} is asked for): {error}"
        return _finding(asked, point, Verdict.INSUFFICIENT_DATA, None, message), None
    new, old = (
        Sample(row.repeats, float(row.median_images_per_second), float(row.median_standard_deviation or 0))
        for row in (mine, theirs)
    )
    interval = regression(new, old)
    comparison = ComparisonRow(
        point=mine.point,
        repeats=mine.repeats,
        images_per_second=mine.median_images_per_second,
        coefficient_of_variation=decimal((new.standard_deviation or 0) / new.mean, PLACES),
        baseline_repeats=theirs.repeats,
        baseline_images_per_second=theirs.median_images_per_second,
        baseline_coefficient_of_variation=decimal((old.standard_deviation or 0) / old.mean, PLACES),
        regression=_share(interval.value),
        regression_low=_share(interval.low),
        regression_high=_share(interval.high),
    )
    return _decided(asked, point, interval), comparison


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


def _same_point(point: Point, mine: PointRow, base: CompletedBenchmark) -> PointRow | None:
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


def _decided(asked: Baseline, point: Point, found: Interval) -> FindingRow:
    most, low, high = float(asked.max_regression), round(found.low, EXACT), round(found.high, EXACT)
    said = f"{Limit.REGRESSION} of {point.label} against {asked.name} is {_share(found.value)}"
    between = f"95 % between {_share(low)} and {_share(high)}"
    if low > most:
        # Even the mildest loss that the repeats allow is too much.
        verdict, message = Verdict.FAIL, f"{said} ({between}): the gate asks for at most {asked.max_regression:f}"
    elif high <= most:
        # Even the worst loss that the repeats allow passes.
        verdict, message = Verdict.PASS, f"{said} ({between}), at most {asked.max_regression:f}"
    else:
        # More repeats would narrow the interval.
        verdict = Verdict.INSUFFICIENT_DATA
        message = f"{said}, but the interval contains the limit {asked.max_regression:f} ({between}): take more repeats"
    return _finding(asked, point, verdict, found.value, message)


def _finding(asked: Baseline, point: Point, verdict: Verdict, value: float | None, message: str) -> FindingRow:
    return FindingRow(
        limit=Limit.REGRESSION,
        point=point.label,
        verdict=verdict,
        value=None if value is None else _share(value),
        bound=f"{asked.max_regression:f}",
        message=bounded(message),
    )


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
        if point is None or other is None:
            continue
        mine, theirs = point.config, other.config
        batch = division(mine, point.devices).run
        if (mine.model, mine.image_size, batch) != (theirs.model, theirs.image_size, row.global_batch_size):
            continue
        # Before the Point is measured nothing is known of its devices, and the rate is shown all the same.
        ran_on = environments_of(row.point, benchmark.status)
        if not ran_on or not device_difference(ran_on, environments_of(row.point, base.status)):
            yield point, row.median_images_per_second
