"""Lists the series that a query may name, with the labels of the code's two tables.

A query is written without selectors, such as `max by (cluster, phase) (sdbench_benchmark_phase)`; `selected` puts them
in. A name that the code does not serve is refused, so that a renamed metric cannot leave an empty panel behind.
"""

import re

from sdbench.controller.metrics import definitions
from sdbench_trainer.measure import metrics

OF_BENCHMARKS = 'cluster=~"$cluster", namespace=~"$namespace", benchmark=~"$benchmark"'
"""What chooses the series of Benchmarks and of their trainers."""

OF_OPERATOR = 'cluster=~"$cluster"'
"""What chooses the operator's own series, which belong to no Benchmark."""

NAME = re.compile(r"\b(?P<name>sdbench_\w+)(?:\{(?P<matchers>[^}]*)\})?")
PARTS_OF_A_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")

BENCHMARK = "cluster, namespace, benchmark"
POINT = f"{BENCHMARK}, point, devices"
TRIAL = f"{BENCHMARK}, trial"
"""What tells Benchmarks, Points and Trials apart. `cluster` is the label of a Prometheus that serves several."""

OWN = frozenset(row.name for row in definitions.ALL if "benchmark" not in row.labels)
OTHERS = frozenset(row.name for row in (*definitions.ALL, *metrics.METRICS)) - OWN


def or_unknown(query: str, known: str) -> str:
    """The query, and not-a-number for each series of `known` of which it says nothing: unknown is not 0."""
    return f"{query} or {known} * NaN"


def of_point(metric: str) -> str:
    """A result of every measured Point; unknown where it is absent, as an interval is after one repeat."""
    return or_unknown(f"max by ({POINT}) ({metric})", f"max by ({POINT}) ({definitions.POINT_RATE.name})")


def with_knobs(query: str) -> str:
    """The query with a label `knobs`: the Point without its device count, empty where nothing else is swept."""
    count = r"devices=\\d+"
    return f'label_replace({query}, "knobs", "$1$2$3", "point", "{count},?(.*)|(.*),{count}(.*)")'


def selected(query: str) -> str:
    """The query with a selector at each series. Raises LookupError for a series that nobody serves."""
    return NAME.sub(lambda found: _chosen(found["name"], found["matchers"] or ""), query)


def _chosen(name: str, matchers: str) -> str:
    selector = OF_OPERATOR if _of_operator(_metric(name), matchers) else OF_BENCHMARKS
    return f"{name}{{{', '.join(filter(None, (selector, matchers)))}}}"


def _metric(name: str) -> str:
    """The metric that serves the series `name`."""
    for metric in (name, PARTS_OF_A_HISTOGRAM.sub("", name)):
        if metric in OWN | OTHERS:
            return metric
    raise LookupError(f"{name} is served neither by the operator nor by the trainer")


def _of_operator(metric: str, matchers: str) -> bool:
    """The build is told by both; only the operator's has a component."""
    return metric in OWN and (metric != definitions.BUILD.name or "component=" in matchers)
