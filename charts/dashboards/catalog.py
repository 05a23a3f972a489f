"""Lists the series that a query may name, with the labels of the code's two tables.

A query is written without selectors, such as `max by (cluster, phase) (sdbench_benchmark_phase)`; `selected` adds them.
It raises an error for a name that the code does not serve, so a renamed metric cannot leave an empty panel behind.
"""

import re

from sdbench.controller.metrics import definitions
from sdbench_trainer.measure import metrics

OF_BENCHMARKS = 'cluster=~"$cluster", namespace=~"$namespace", benchmark=~"$benchmark"'
"""The selector of the series of Benchmarks and of their trainers."""

OF_OPERATOR = 'cluster=~"$cluster"'
"""The selector of the operator's own series, which belong to no Benchmark."""

NAME = re.compile(r"\b(?P<name>sdbench_\w+)(?:\{(?P<matchers>[^}]*)\})?")
PARTS_OF_A_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")

BENCHMARK = "cluster, namespace, benchmark"
POINT = f"{BENCHMARK}, point, devices"
TRIAL = f"{BENCHMARK}, trial"
"""The labels that identify Benchmarks, Points and Trials. A Prometheus that serves several clusters adds `cluster`."""

OWN = frozenset(row.name for row in definitions.ALL if "benchmark" not in row.labels)
OTHERS = frozenset(row.name for row in (*definitions.ALL, *metrics.METRICS)) - OWN


def or_unknown(query: str, known: str) -> str:
    """The query, with NaN for each series of `known` that it lacks: unknown is not 0."""
    return f"{query} or {known} * NaN"


def of_point(metric: str) -> str:
    """The metric of every measured Point, with NaN where it is absent, as an interval is after one repeat."""
    return or_unknown(f"max by ({POINT}) ({metric})", f"max by ({POINT}) ({definitions.POINT_RATE.name})")


def with_knobs(query: str) -> str:
    """The query with a label `knobs`: the Point without its device count, empty if nothing else is swept."""
    count = r"devices=\\d+"
    return f'label_replace({query}, "knobs", "$1$2$3", "point", "{count},?(.*)|(.*),{count}(.*)")'


def selected(query: str) -> str:
    """The query with a selector at each series. Raises LookupError for a series that nothing serves."""
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
    # Operator and trainer both serve the build; only the operator's has the label `component`.
    return metric in OWN and (metric != definitions.BUILD.name or "component=" in matchers)
