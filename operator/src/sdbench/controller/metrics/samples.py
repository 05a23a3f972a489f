"""Reads the samples of each series from the statuses of the Benchmarks, so a series ends with its Benchmark."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.status import Phase, PointRow, TrialPhase
from sdbench.api.status_gate import Verdict
from sdbench.controller.apiserver.cluster import Key, key_of
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.definitions import Series
from sdbench.core.gate.baseline import baseline_rates
from sdbench.core.plan.grid import PlanRefused, Point, trials
from sdbench.core.trial.row import TERMINAL, may_hold_devices

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the sample's value."""

OF_POINT: dict[Series, Callable[[PointRow], Decimal | None]] = {
    definitions.POINT_RATE: lambda row: row.images_per_second,
    definitions.POINT_LOW: lambda row: row.interval_low,
    definitions.POINT_HIGH: lambda row: row.interval_high,
    definitions.POINT_MEDIAN_RATE: lambda row: row.median_images_per_second,
    definitions.POINT_VARIATION: lambda row: row.median_coefficient_of_variation,
    definitions.POINT_EFFICIENCY: lambda row: row.scaling_efficiency,
    definitions.POINT_MFU: lambda row: row.mfu_ratio,
    definitions.POINT_SKEW: lambda row: row.rank_skew_ratio_max,
    definitions.POINT_DATA_WAIT: lambda row: row.data_wait_ratio_max,
    definitions.POINT_DAYS: lambda row: row.days,
    definitions.POINT_DEVICE_HOURS: lambda row: row.device_hours,
    definitions.POINT_COST: lambda row: row.cost,
}


def samples(definition: Series, benchmarks: Iterable[Benchmark]) -> Iterator[Sample]:
    """Yields every sample of one series, with all of its labels."""
    for benchmark in benchmarks:
        named = name_labels(benchmark)
        if definition in OF_POINT:
            for row in benchmark.status.points:
                rate = OF_POINT[definition](row)
                if rate is not None:
                    yield (*named, row.point, str(row.devices)), float(rate)
        else:
            for labels, value in OF_BENCHMARK[definition](benchmark):
                yield (*named, *labels), value


def name_labels(benchmark: Benchmark) -> tuple[str, str]:
    """The values of the labels that every series of a Benchmark begins with."""
    return benchmark.metadata.namespace, benchmark.metadata.name


def _single(value: Decimal | float | None) -> list[Sample]:
    """The only sample of a series without further labels; none if there is no value."""
    return [] if value is None else [((), float(value))]


def _failed_trials(benchmark: Benchmark) -> list[Sample]:
    failed = (row for row in benchmark.status.trials if row.phase is TrialPhase.FAILED)
    found = Counter(row.reason or Reason.UNKNOWN for row in failed)
    return [((reason.value,), float(count)) for reason, count in sorted(found.items())]


def _waiting_since(benchmark: Benchmark) -> list[Sample]:
    waiting = (row.waiting_since for row in benchmark.status.trials if row.phase not in TERMINAL)
    since = min((moment for moment in waiting if moment is not None), default=None)
    return _single(since.timestamp() if since is not None else None)


OF_BENCHMARK: dict[Series, Callable[[Benchmark], list[Sample]]] = {
    # A series for each value, also for those that do not hold: otherwise a query could not tell 0 from absent.
    definitions.PHASE: lambda one: [((phase.value,), float(one.status.phase is phase)) for phase in Phase],
    definitions.VERDICT: lambda one: [
        ((verdict.value,), float(one.status.gate.verdict is verdict)) for verdict in Verdict if one.status.gate
    ],
    definitions.TARGET: lambda one: _single(one.spec.gate.min_images_per_second if one.spec.gate else None),
    definitions.TRIALS: lambda one: [
        ((phase.value,), float(sum(row.phase is phase for row in one.status.trials))) for phase in TrialPhase
    ],
    definitions.FAILED_TRIALS: _failed_trials,
    definitions.WAITING_SINCE: _waiting_since,
    definitions.DEVICES: lambda one: _single(
        # An Attempt that is not scheduled yet has a job, and holds nothing.
        sum(row.devices for row in one.status.trials if may_hold_devices(row) and row.scheduled_at is not None)
    ),
    definitions.SPENT: lambda one: _single(one.status.spent_device_seconds),
    # Without a price the cost is unknown, not 0.
    definitions.SPENT_COST: lambda one: _single(one.status.spent_cost if one.spec.devices.hourly_price > 0 else None),
}
"""The samples of each series without the labels that name the Benchmark."""


class Baselines:
    """The rates of baselines; each Benchmark is planned once, as the fields that its plan depends on are immutable."""

    def __init__(self) -> None:
        self._points: dict[str, Mapping[str, Point]] = {}

    def samples(self, benchmarks: tuple[Benchmark, ...]) -> Iterator[Sample]:
        """Yields the baseline's median images/s for each Point of each Benchmark whose baseline is among these."""
        found = {key_of(benchmark): benchmark for benchmark in benchmarks}
        present = {benchmark.metadata.uid for benchmark in benchmarks}
        self._points = {uid: points for uid, points in self._points.items() if uid in present}
        for benchmark in benchmarks:
            gate = benchmark.spec.gate
            named = gate.baseline.name if gate is not None and gate.baseline is not None else None
            base = found.get(Key(benchmark.metadata.namespace, named)) if named is not None else None
            if base is not None:
                for point, rate in baseline_rates(benchmark, base, self._planned):
                    yield (*name_labels(benchmark), point.label, str(point.devices)), float(rate)

    def _planned(self, benchmark: Benchmark) -> Mapping[str, Point]:
        uid = benchmark.metadata.uid
        if uid not in self._points:
            try:
                self._points[uid] = {trial.point.label: trial.point for trial in trials(benchmark.spec)}
            except PlanRefused:
                self._points[uid] = {}
        return self._points[uid]
