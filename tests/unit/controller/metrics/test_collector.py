"""Tests that the operator serves exactly the series of its table."""

from prometheus_client import generate_latest

from sdbench.api.status import Status
from sdbench.controller.apiserver.cluster import key_of
from sdbench.controller.cache import BenchmarkCache
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.collector import OperatorSeries
from unit.controller.shapes import benchmark


def test_series_are_served_while_their_benchmark_exists() -> None:
    cache = BenchmarkCache()
    one = benchmark().model_copy(update={"status": Status(spent_device_seconds=7)})
    cache.put(one)
    served = OperatorSeries(cache.benchmarks, lambda: 3)
    text = generate_latest(served.registry).decode()
    assert 'sdbench_benchmark_spent_device_seconds_total{benchmark="tiny",namespace="lab"} 7.0' in text
    assert 'sdbench_benchmark_phase{benchmark="tiny",namespace="lab",phase="Pending"} 1.0' in text
    assert "sdbench_operator_queue_depth 3.0" in text
    cache.drop(key_of(one))
    assert 'benchmark="tiny"' not in generate_latest(served.registry).decode()


def test_the_table_of_series_and_the_served_series_are_the_same() -> None:
    served = OperatorSeries(lambda: (), lambda: 0)
    names = {family.name: family.documentation for family in served.registry.collect()}
    assert names == {one.name.removesuffix("_total"): one.help for one in definitions.ALL}
