"""Do the dashboard and the documentation speak of the metrics that the code serves, and of no others?"""

import json
import re
from pathlib import Path

from chart.rendering import chart_file
from sdbench.controller import series
from sdbench_trainer import telemetry

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>sdbench_\w+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*)\| (?P<meaning>[^|]+) \|$", re.M)
TRAINER_LABELS = {"sdbench_build_info": ("version", "model")}
"""The trainer's table holds no labels: build_info alone has some, and the tests of the trainer scrape them."""
SCRAPED_LABELS = ("namespace", "benchmark", "trial", "le")
"""What the PodMonitor and the histogram add to the trainer's series."""


def served() -> list[tuple[str, str, tuple[str, ...]]]:
    """(name, type, labels) of every metric in the code's two tables."""
    of_trainer = [(m.name, _exposed(m.kind), TRAINER_LABELS.get(m.name, ())) for m in telemetry.METRICS]
    return [*of_trainer, *((s.name, s.kind.value, s.labels) for s in series.ALL)]


def test_the_documentation_lists_what_is_served() -> None:
    rows = [
        (row["name"], row["kind"], tuple(re.findall(r"`(\w+)`", row["labels"])))
        for row in ROW.finditer(DOCUMENT.read_text())
    ]
    assert sorted(rows) == sorted(served())


def test_the_dashboard_asks_for_what_is_served() -> None:
    asked = set(re.findall(r"sdbench_\w+?(?=\{|_bucket\{|,|\))", chart_file("dashboards/sdbench.json")))
    assert asked
    assert asked <= {name for name, _, _ in served()}


def test_the_dashboard_groups_by_labels_that_are_served() -> None:
    for target in _targets():
        (name,) = set(re.findall(r"(sdbench_\w+?)(?:_bucket)?\{", target))
        labels = next(found for known, _, found in served() if known == name) or SCRAPED_LABELS
        grouped = re.search(r"by \(([^)]*)\)", target)
        assert grouped
        assert set(grouped[1].split(", ")) <= set(labels), target


def _targets() -> list[str]:
    panels = json.loads(chart_file("dashboards/sdbench.json"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def _exposed(kind: telemetry.Kind) -> str:
    return "gauge" if kind is telemetry.Kind.INFO else kind.value
