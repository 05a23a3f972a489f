"""Reads the samples of each series from the statuses of the Benchmarks, so a series ends with its Benchmark."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.status import Phase, PointRow, TrialPhase
from sdbench.api.status_gate import Verdict
from sdbench.controller.apiserver.cluster import Key, key_of
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.definitions import Series
from sdbench.core.gate.baseline import baseline_rates
from sdbench.core.plan.grid import PlanRefused, Point, trials
from sdbench.core.trial.row import TERMINAL

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


def reader(definition: Series) -> Callable[[Benchmark], Iterator[Sample]]:
    """A function that returns a Benchmark's samples of one series, with all of their labels."""
    if definition in OF_POINT:
        return partial(_point_samples, OF_POINT[definition])
    return partial(_benchmark_samples, OF_BENCHMARK[definition])


def _point_samples(value_of: Callable[[PointRow], Decimal | None], benchmark: Benchmark) -> Iterator[Sample]:
    for row in benchmark.status.points:
        value = value_of(row)
        if value is not None:
            yield (*name_labels(benchmark), row.point, str(row.devices)), float(value)


def _benchmark_samples(own: Callable[[Benchmark], Iterable[Sample]], benchmark: Benchmark) -> Iterator[Sample]:
    return (((*name_labels(benchmark), *labels), value) for labels, value in own(benchmark))


def name_labels(benchmark: Benchmark) -> tuple[str, str]:
    """The values of the labels that every series of a Benchmark begins with."""
    return benchmark.metadata.namespace, benchmark.metadata.name


def _phase(benchmark: Benchmark) -> Iterable[Sample]:
    return (((phase.value,), float(benchmark.status.phase is phase)) for phase in Phase)


def _verdict(benchmark: Benchmark) -> Iterable[Sample]:
    gate = benchmark.status.gate
    return (((one.value,), float(gate.verdict is one)) for one in Verdict) if gate is not None else ()


def _target(benchmark: Benchmark) -> Iterable[Sample]:
    gate = benchmark.spec.gate
    asked = gate.min_images_per_second if gate is not None else None
    return [((), float(asked))] if asked is not None else []


def _trials(benchmark: Benchmark) -> Iterable[Sample]:
    found = Counter(row.phase for row in benchmark.status.trials)
    return (((phase.value,), float(found[phase])) for phase in TrialPhase)


def _failed_trials(benchmark: Benchmark) -> Iterable[Sample]:
    failed = (row for row in benchmark.status.trials if row.phase is TrialPhase.FAILED)
    found = Counter(row.reason or Reason.UNKNOWN for row in failed)
    return (((reason.value,), float(count)) for reason, count in sorted(found.items()))


def _waiting_since(benchmark: Benchmark) -> Iterable[Sample]:
    waiting = (row.waiting_since for row in benchmark.status.trials if row.phase not in TERMINAL)
    since = min((moment for moment in waiting if moment is not None), default=None)
    return [((), since.timestamp())] if since is not None else []


def _devices(benchmark: Benchmark) -> Iterable[Sample]:
    rows = (row for row in benchmark.status.trials if row.scheduled_at is not None and row.released_at is None)
    return [((), float(sum(row.devices for row in rows)))]


def _spent(benchmark: Benchmark) -> Iterable[Sample]:
    return [((), float(benchmark.status.spent_device_seconds))]


def _spent_cost(benchmark: Benchmark) -> Iterable[Sample]:
    priced = benchmark.spec.devices.hourly_price > 0
    return [((), float(benchmark.status.spent_cost))] if priced else []


OF_BENCHMARK: dict[Series, Callable[[Benchmark], Iterable[Sample]]] = {
    definitions.PHASE: _phase,
    definitions.VERDICT: _verdict,
    definitions.TARGET: _target,
    definitions.TRIALS: _trials,
    definitions.FAILED_TRIALS: _failed_trials,
    definitions.WAITING_SINCE: _waiting_since,
    definitions.DEVICES: _devices,
    definitions.SPENT: _spent,
    definitions.SPENT_COST: _spent_cost,
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
