"""Do the dashboard's queries parse, and do they answer with the right numbers where a run was scraped? promtool judges.

The cluster tests ask the same queries of a Prometheus that scraped a real run.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.dashboard import expressions
from chart.rendering import chart_file

QUERIES = expressions(json.loads(chart_file("dashboards/sdbench.json")), {"namespace": "team-a", "benchmark": "tiny"})
ALL_CHOSEN = expressions(json.loads(chart_file("dashboards/sdbench.json")), {"namespace": ".+", "benchmark": ".+"})
SERIES = yaml.safe_load((Path(__file__).parent / "scraped_run.yaml").read_text())
"""What Prometheus holds: one Benchmark, one measured Point, one trial within its window."""

NUMBERS = {
    "Images per second": (8, 8),
    "Step time": (0.5 + 0.5 * (7.5 - 3) / 9, 1),
    "Data wait": (0.1,),
    "Measured window": (1,),
    "Spent": (15 * 40 / 3600,),
}
"""By hand, from the series: 120 images, 1.5 s of waiting and 15 steps in each 15 s."""


def promtool(folder: Path, document: dict[str, Any], *command: str) -> str:
    """What promtool says to this file; it must be content."""
    file = folder / "promtool.yaml"
    file.write_text(yaml.safe_dump(document))
    done = subprocess.run(["promtool", *command, str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(expression: str, value: float) -> dict[str, Any]:
    """A test of promtool: after ten minutes this expression has this one value."""
    return {"expr": expression, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": value}]}


def judged(folder: Path, tests: list[dict[str, Any]]) -> None:
    """Ask these of a Prometheus that scraped `SERIES`."""
    case = {"interval": "15s", "input_series": SERIES, "promql_expr_test": tests}
    promtool(folder, {"evaluation_interval": "15s", "tests": [case]}, "test", "rules")


def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:query:{index}", "expr": query} for index, (_, query) in enumerate(QUERIES)]
    said = promtool(tmp_path, {"groups": [{"name": "dashboard", "rules": rules}]}, "check", "rules")
    assert f"{len(QUERIES)} rules found" in said


@pytest.mark.parametrize("queries", [QUERIES, ALL_CHOSEN], ids=["one benchmark", "all benchmarks"])
def test_every_query_has_an_answer(tmp_path: Path, queries: tuple[tuple[str, str], ...]) -> None:
    judged(tmp_path, [asked(f"count({query}) > bool 0", 1) for _, query in queries])


@pytest.mark.parametrize("title", NUMBERS)
def test_a_panel_shows_the_right_number(tmp_path: Path, title: str) -> None:
    queries = [query for panel, query in QUERIES if panel == title]
    near = [f"abs(sum({q}) - {number}) < bool 1e-9" for q, number in zip(queries, NUMBERS[title], strict=True)]
    judged(tmp_path, [asked(expression, 1) for expression in near])


def test_another_benchmark_is_not_shown(tmp_path: Path) -> None:
    other = expressions(
        json.loads(chart_file("dashboards/sdbench.json")), {"namespace": "team-a", "benchmark": "other"}
    )
    judged(tmp_path, [{"expr": query, "eval_time": "10m", "exp_samples": []} for _, query in other])
