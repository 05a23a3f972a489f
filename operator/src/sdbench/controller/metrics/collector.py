"""Collects the operator's series; those of Benchmarks are computed from their statuses at each scrape."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import sdbench
from sdbench.api.benchmark import Benchmark
from sdbench.controller.apiserver.errors import KNOWN, ApiError
from sdbench.controller.apiserver.requests import Call
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.definitions import MetricType, Series
from sdbench.controller.metrics.samples import Baselines, Sample, samples

PASS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

BUG = "Bug"
"""The reason label of every error that is not an ApiError."""


class BenchmarkSeries(Collector):
    """The series of all Benchmarks that exist."""

    def __init__(self, benchmarks: Callable[[], Iterable[Benchmark]]) -> None:
        self._benchmarks = benchmarks
        self._baselines = Baselines()

    def collect(self) -> Iterator[Metric]:
        """Yields one family for each series of Benchmarks."""
        found = tuple(self._benchmarks())
        for definition in (*definitions.OF_POINTS, *definitions.OF_BENCHMARKS):
            if definition == definitions.POINT_BASELINE:
                yield _family(definition, self._baselines.samples(found))
            else:
                yield _family(definition, samples(definition, found))


class OperatorSeries:
    """The series of the operator itself, and the registry that serves all."""

    def __init__(self, benchmarks: Callable[[], Iterable[Benchmark]], depth: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(BenchmarkSeries(benchmarks))
        self.duration = Histogram(*_definition(definitions.DURATION), registry=self.registry, buckets=PASS_SECONDS)
        self.last_event = Gauge(*_definition(definitions.LAST_EVENT), registry=self.registry)
        self.last_list = Gauge(*_definition(definitions.LAST_LIST), registry=self.registry)
        self.lag = Gauge(*_definition(definitions.LAG), registry=self.registry)
        self.watch_failures = Counter(*_definition(definitions.WATCH_FAILURES), registry=self.registry)
        self._errors = Counter(*_definition(definitions.ERRORS), registry=self.registry)
        for reason in (*(kind.__name__ for kind in KNOWN), BUG):
            self._errors.labels(reason)
        self._requests = Counter(*_definition(definitions.REQUESTS), registry=self.registry)
        Gauge(*_definition(definitions.DEPTH), registry=self.registry).set_function(depth)
        Gauge(*_definition(definitions.BUILD), registry=self.registry).labels("operator", sdbench.__version__).set(1)

    def pass_failed(self, error: Exception) -> None:
        """Counts a pass that failed, or that went on without Events."""
        self._errors.labels(type(error).__name__ if isinstance(error, ApiError) else BUG).inc()

    def request_sent(self, call: Call, code: str) -> None:
        """Counts a request to the API server."""
        self._requests.labels(call.right.verb, call.right.resource, code).inc()


def _definition(definition: Series) -> tuple[str, str, tuple[str, ...]]:
    return definition.name, definition.help, definition.labels


def _family(definition: Series, found: Iterable[Sample]) -> Metric:
    make = CounterMetricFamily if definition.kind is MetricType.COUNTER else GaugeMetricFamily
    family = make(definition.name, definition.help, labels=definition.labels)
    for labels, value in found:
        family.add_metric(labels, value)
    return family
