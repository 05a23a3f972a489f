"""Adds selectors to queries, and holds the expressions that several dashboards share.

A query is written without selectors, such as `max by (cluster, phase) (sdbench_benchmark_phase)`; `selected` adds them.
It raises an error for a series that the code does not serve, so a renamed metric cannot leave an empty panel behind.
"""

import re

from sdbench.controller.metrics import definitions
from sdbench_trainer.measure import metrics

OF_BENCHMARKS = 'cluster=~"$cluster", namespace=~"$namespace", benchmark=~"$benchmark"'
"""Selects series of Benchmarks and of their trainers."""

OF_OPERATOR = 'cluster=~"$cluster"'
"""Selects the operator's own series, which belong to no Benchmark."""

NAME = re.compile(r"\b(?P<name>sdbench_\w+)(?:\{(?P<matchers>[^}]*)\})?")
PARTS_OF_A_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")

BENCHMARK = "cluster, namespace, benchmark"
POINT = f"{BENCHMARK}, point, devices"
TRIAL = f"{BENCHMARK}, trial"
"""The labels that identify a Benchmark, a Point and a Trial. A Prometheus for several clusters adds `cluster`."""

OWN = frozenset(row.name for row in definitions.ALL if "benchmark" not in row.labels)
OTHERS = frozenset(row.name for row in (*definitions.ALL, *metrics.METRICS)) - OWN

EACH_BENCHMARK = f"max by ({BENCHMARK}) (sdbench_benchmark_phase)"
"""One series for each Benchmark that exists, in any phase."""

WAITING_SECONDS = (
    f"time() - min by ({BENCHMARK}) (sdbench_benchmark_waiting_since_timestamp_seconds) or 0 * {EACH_BENCHMARK}"
)
"""How long each Benchmark's longest waiting Trial has been waiting; 0 if none waits."""


def or_unknown(query: str, known: str) -> str:
    """The query, with NaN for each series of `known` that it lacks, because unknown is not 0."""
    return f"{query} or {known} * NaN"


def labelled(query: str, label: str, value: str) -> str:
    """The query with one label set to a fixed value, for the legend."""
    return f'label_replace({query}, "{label}", "{value}", "", "")'


def of_point(metric: str) -> str:
    """The metric of every measured Point, with NaN where it is absent, such as an interval after one repeat."""
    return or_unknown(f"max by ({POINT}) ({metric})", f"max by ({POINT}) ({definitions.POINT_RATE.name})")


OF_BASELINE = or_unknown(
    f"max by ({POINT}) ({definitions.POINT_MEDIAN_RATE.name}) / max by ({POINT}) ({definitions.POINT_BASELINE.name})",
    f"max by ({POINT}) ({definitions.POINT_RATE.name})",
)
"""Each Point's share of its baseline's images per second; unknown if the baseline lacks the Point."""


def with_knobs(query: str) -> str:
    """The query with a label `knobs`: the Point without its device count, empty if nothing else is swept."""
    count = r"devices=\\d+"
    return f'label_replace({query}, "knobs", "$1$2$3", "point", "{count},?(.*)|(.*),{count}(.*)")'


def selected(query: str) -> str:
    """The query with a selector at each series. Raises LookupError for a series that nothing serves."""
    return NAME.sub(_with_selector, query)


def _with_selector(found: re.Match[str]) -> str:
    """One series of a query, with the matchers that it had and those that follow the dashboard's variables."""
    name, matchers = found["name"], found["matchers"] or ""
    metric = next((each for each in (name, PARTS_OF_A_HISTOGRAM.sub("", name)) if each in OWN | OTHERS), None)
    if metric is None:
        raise LookupError(f"{name} is served neither by the operator nor by the trainer")
    # The operator and the trainer both serve the build info; only the operator's has the label `component`.
    of_operator = metric in OWN and (metric != definitions.BUILD.name or "component=" in matchers)
    selector = OF_OPERATOR if of_operator else OF_BENCHMARKS
    return f"{name}{{{', '.join(filter(None, (selector, matchers)))}}}"
