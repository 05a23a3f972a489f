"""Reads the series and labels that docs/metrics.md promises, and those that the monitors add."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.support.user import ROOT

ROW = re.compile(r"\| `(?P<name>sdbench_\w+)` \| (?P<kind>counter|gauge|histogram) \| (?P<labels>[^|]*)\|")
METRIC = re.compile(r"(?<!:)\bsdbench_\w+")
RECORDED = re.compile(r"\b(\w+):sdbench_\w+:\w+")
"""The series of a recording rule; the labels that it keeps are before the first colon."""

MADE = re.compile(r', "(\w+)", "[^"]*", "\w*", "')
"""The label that `label_replace` creates."""

SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}

OF_A_TARGET = frozenset({"job", "instance", "namespace", "pod", "container", "endpoint"})
OF_A_SERVICE = OF_A_TARGET | {"service"}
OF_A_TRIAL = OF_A_TARGET | {"benchmark", "trial"}
"""The labels that Prometheus and the PodMonitor add to the trainer's series."""

WHILE_IT_TRAINS = "## While it trains"
UNKNOWN_ON_A_CPU = {"sdbench_device_memory_peak_bytes"}
"""Series that are documented as absent without device memory."""


@dataclass(frozen=True)
class Promise:
    """A series' name and labels as Prometheus stores them."""

    name: str
    labels: frozenset[str]


def promises() -> Iterator[Promise]:
    """A Promise for every row of every table, and three for a histogram."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    for section in re.split(r"(?m)^(?=## )", text):
        added = OF_A_TRIAL if section.startswith(WHILE_IT_TRAINS) else OF_A_SERVICE
        for row in ROW.finditer(section):
            labels = added | set(re.findall(r"\w+", row["labels"]))
            for suffix in SUFFIXES[row["kind"]]:
                yield Promise(row["name"] + suffix, labels | ({"le"} if suffix == "_bucket" else set()))


def labels_of(query: str) -> frozenset[str]:
    """The labels that a query's result may have: those of all series that it names, and those that it creates."""
    named, recorded = set(METRIC.findall(query)), RECORDED.findall(query)
    kept = (level.split("_") for level in recorded)
    documented = (each.labels for each in promises() if each.name in named)
    return frozenset(MADE.findall(query)).union(*documented, *kept)


def unknown_on_a_cpu(query: str) -> bool:
    """Whether the query reads only series that do not exist on a CPU."""
    return set(METRIC.findall(query)) <= UNKNOWN_ON_A_CPU
