"""Reads the groups of the chart's PrometheusRule, rendered by Helm."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from chart.support.rendering import Helm, Manifest, the
from sdbench.controller.metrics import definitions
from sdbench_trainer.measure import metrics

API = "--api-versions=monitoring.coreos.com/v1/PrometheusRule"
NAME = re.compile(r"(?<![\w:])[a-z_]+:\w+(?::\w+)?|(?<![\w:])sdbench_\w+")
"""A recorded series, or one that the code serves."""

TARGET = frozenset({"cluster", "namespace", "pod"})
"""Labels that a scrape adds to every series; `cluster` where Prometheus has it."""

TRAINER_TARGET = TARGET | {"benchmark", "trial"}
"""The PodMonitor adds these to the trainer's."""


def prometheus_rule(helm: Helm, **values: Any) -> Manifest:
    """The object, with these values of `monitoring.prometheusRule`."""
    asked = {"monitoring": {"prometheusRule": {"enabled": True, **values}}}
    return the(helm.render(asked, API), "PrometheusRule")


@cache
def groups(helm: Helm, **thresholds: float) -> list[dict[str, Any]]:
    """The groups of rules with these thresholds, rendered once for all tests."""
    found: list[dict[str, Any]] = prometheus_rule(helm, thresholds=thresholds)["spec"]["groups"]
    return found


def rules(of: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The rules of one kind, `record` or `alert`, by name."""
    return {rule[kind]: rule for group in of for rule in group["rules"] if kind in rule}


def names(expression: str) -> set[str]:
    """The series in an expression."""
    return set(NAME.findall(expression))


def labels_of_served() -> dict[str, frozenset[str]]:
    """Every series that the code serves, as it is scraped, with the labels that it then has."""
    defined = [(one.name, one.kind.value, TARGET.union(one.labels)) for one in definitions.ALL]
    defined += [(one.name, one.kind.value, TRAINER_TARGET.union(one.labels)) for one in metrics.METRICS]
    found: dict[str, frozenset[str]] = {}
    for name, kind, labels in defined:
        parts = {name: labels}
        if kind == "histogram":
            parts = {f"{name}_sum": labels, f"{name}_count": labels, f"{name}_bucket": labels | {"le"}}
        # The operator and the trainer both serve the build info.
        for part, its_labels in parts.items():
            found[part] = found.get(part, frozenset()) | its_labels
    return found


def labels_asked(expression: str) -> set[str]:
    """The labels that an expression groups by or selects."""
    grouped = ",".join(re.findall(r"\bby \(([^)]*)\)", expression))
    selected = re.findall(r"[{,]\s*(\w+)\s*=", expression)
    return {label.strip() for label in grouped.split(",") if label.strip()} | set(selected)


def annotation_labels(annotations: Mapping[str, str]) -> set[str]:
    """The labels that an alert's texts use."""
    return set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values())))
