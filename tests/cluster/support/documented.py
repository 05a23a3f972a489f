"""Reads the series and labels that docs/metrics.md promises, and those that the monitors add."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.support.scene import ROOT

ROW = re.compile(r"\| `(?P<name>sdbench_\w+)` \| (?P<kind>counter|gauge|histogram) \| (?P<labels>[^|]*)\|")
METRIC = re.compile(r"(?<!:)\bsdbench_\w+")
RECORDED = re.compile(r"\b(\w+):sdbench_\w+:\w+")
"""What a recording rule made; the labels that it kept stand before the colon."""

MADE = re.compile(r', "(\w+)", "[^"]*", "\w*", "')
"""The label that `label_replace` makes."""

SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}

OF_A_TARGET = frozenset({"job", "instance", "namespace", "pod", "container", "endpoint"})
OF_A_SERVICE = OF_A_TARGET | {"service"}
OF_A_TRIAL = OF_A_TARGET | {"benchmark", "trial"}
"""What Prometheus and the PodMonitor add to the trainer's series."""

WHILE_IT_TRAINS = "## While it trains"
UNKNOWN_ON_A_CPU = {"sdbench_device_memory_peak_bytes"}
"""Documented as absent where there is no device memory."""


@dataclass(frozen=True)
class Promise:
    """A series by the name that Prometheus stores, with all of its labels there."""

    name: str
    labels: frozenset[str]


def promises() -> Iterator[Promise]:
    """Every row of every table, a histogram as its three series."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    for section in re.split(r"(?m)^(?=## )", text):
        added = OF_A_TRIAL if section.startswith(WHILE_IT_TRAINS) else OF_A_SERVICE
        for row in ROW.finditer(section):
            labels = added | set(re.findall(r"\w+", row["labels"]))
            for suffix in SUFFIXES[row["kind"]]:
                yield Promise(row["name"] + suffix, labels | ({"le"} if suffix == "_bucket" else set()))


def labels_of(query: str) -> frozenset[str]:
    """What the series of an answer may carry: the labels of all that the query names, and those that it makes."""
    named, recorded = set(METRIC.findall(query)), RECORDED.findall(query)
    kept = (level.split("_") for level in recorded)
    documented = (each.labels for each in promises() if each.name in named)
    return frozenset(MADE.findall(query)).union(*documented, *kept)


def unknown_on_a_cpu(query: str) -> bool:
    """Whether it asks for nothing else."""
    return set(METRIC.findall(query)) <= UNKNOWN_ON_A_CPU
