"""What do the series say now? Those of Benchmarks are computed from statuses at each scrape, so they go with them."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import sdbench
from sdbench.api.benchmark import Benchmark
from sdbench.api.status import Phase, PointRow, TrialPhase
from sdbench.api.verdict import Verdict
from sdbench.controller import series
from sdbench.controller.calls import Call
from sdbench.controller.series import Kind, Series

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""

PASS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_OF_POINT: dict[Series, Callable[[PointRow], Decimal | None]] = {
    series.POINT_RATE: lambda row: row.images_per_second,
    series.POINT_EFFICIENCY: lambda row: row.scaling_efficiency,
    series.POINT_DAYS: lambda row: row.days,
    series.POINT_COST: lambda row: row.cost,
    series.POINT_MFU: lambda row: row.mfu_ratio,
}


class BenchmarkSeries(Collector):
    """Series of all Benchmarks that exist."""

    def __init__(self, benchmarks: Callable[[], Iterable[Benchmark]]) -> None:
        self._benchmarks = benchmarks

    def collect(self) -> Iterator[Metric]:
        """One family for each series of Benchmarks."""
        found = tuple(self._benchmarks())
        for definition in series.OF_BENCHMARKS:
            yield _family(definition, (sample for one in found for sample in _samples(definition, one)))


class OperatorSeries:
    """Series of the operator itself, and the registry that serves all."""

    def __init__(self, benchmarks: Callable[[], Iterable[Benchmark]], depth: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(BenchmarkSeries(benchmarks))
        self.duration = Histogram(*_definition(series.DURATION), registry=self.registry, buckets=PASS_SECONDS)
        self.errors = Counter(*_definition(series.ERRORS), registry=self.registry)
        self.last_event = Gauge(*_definition(series.LAST_EVENT), registry=self.registry)
        self.lag = Gauge(*_definition(series.LAG), registry=self.registry)
        self._requests = Counter(*_definition(series.REQUESTS), registry=self.registry)
        Gauge(*_definition(series.DEPTH), registry=self.registry).set_function(depth)
        Gauge(*_definition(series.BUILD), registry=self.registry).labels("operator", sdbench.__version__).set(1)

    def request_sent(self, call: Call, code: str) -> None:
        """Count a request to the API server."""
        self._requests.labels(call.right.verb, call.right.resource, code).inc()


def _definition(definition: Series) -> tuple[str, str, tuple[str, ...]]:
    return definition.name, definition.help, definition.labels


def _family(definition: Series, samples: Iterable[Sample]) -> Metric:
    make = CounterMetricFamily if definition.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(definition.name, definition.help, labels=definition.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _samples(definition: Series, benchmark: Benchmark) -> Iterator[Sample]:
    status, who = benchmark.status, (benchmark.metadata.namespace, benchmark.metadata.name)
    if definition in _OF_POINT:
        for row in status.points:
            value = _OF_POINT[definition](row)
            if value is not None:
                yield (*who, row.point, str(row.devices)), float(value)
    elif definition == series.PHASE:
        yield from (((*who, phase.value), float(status.phase is phase)) for phase in Phase)
    elif definition == series.VERDICT and status.gate is not None:
        yield from (((*who, verdict.value), float(status.gate.verdict is verdict)) for verdict in Verdict)
    elif definition == series.TRIALS:
        for trial_phase in TrialPhase:
            yield (*who, trial_phase.value), float(sum(row.phase is trial_phase for row in status.trials))
    elif definition == series.SPENT:
        yield who, float(status.spent_device_seconds)
