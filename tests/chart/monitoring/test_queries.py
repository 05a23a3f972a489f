"""Tests that the dashboards' queries parse, and return the right numbers.

The cluster tests send the same queries to a Prometheus that scraped a real run.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from chart.support.dashboard import dashboards, expressions, filled, panels
from chart.support.promtool import Series, checked_rules, run_rule_tests
from chart.support.scraped_run import EVALUATED, INTERVAL, NAMESPACE, bare, input_series, of_operator
from charts.dashboards.catalog import with_knobs

CHOSEN = {"namespace": NAMESPACE, "benchmark": "tiny"}
VARIABLES = {"__rate_interval": "30s", "cluster": ".*", **CHOSEN}
QUERIES = expressions(CHOSEN)
ALL_CHOSEN = expressions({"namespace": ".+", "benchmark": ".+"})

NUMBERS = {
    "run/Waiting for devices": (300,),
    "run/Devices held": (1,),
    "run/Trials": (3,),
    "run/Failed Trials": (0,),
    "run/Spent": (40 * 40 / 3600,),
    "run/Images per second": (8 * 15 / (3 * 0.4 + 12 * 0.9), 8, 90, 100),
    "run/Result against the baseline": (0.8,),
    "run/Steps by duration": (2 * (3 + 3 + 11 * 15),),
    "run/Step time": (0.75 + 0.25 * (7.5 - 3) / 12, 0.75 + 0.25 * (14.25 - 3) / 12),
    "run/Data wait": (0.1,),
    "run/Measured window": (1,),
    "run/Loss": (1,),
    "scaling/Speed and its interval": (80, 70, 90),
    "scaling/Rank skew": (1,),
    "fleet/Benchmarks by verdict": (1,),
    "fleet/Longest wait for devices": (300,),
    "fleet/Money spent": (0.25 * 40,),
    "fleet/Last list": (30,),
    "fleet/Last watch event": (60,),
    "fleet/Queue depth": (2,),
    "fleet/Passes": (1 / 15,),
    "fleet/Failed passes": (0,),
    "fleet/API requests by code": (1 / 15,),
}
"""The sum of each query's results in these panels, computed by hand."""

OF_ALL = {
    "fleet/Benchmarks by phase": (3,),
    "fleet/Benchmarks by verdict": (1 + 2,),
    "fleet/Failed Trials by reason": (3,),
    "fleet/Devices in use": (1,),
}
"""The same sums if all Benchmarks are chosen."""

NOT_KNOWN = (
    *("scaling/Variation between repeats", "scaling/Model FLOPs utilisation", "scaling/Against the baseline"),
    *("scaling/Days of the full training", "scaling/Cost of the full training", "fleet/Money spent"),
)
"""The absent series of a Benchmark with one repeat and neither price nor baseline nor projection."""


def asked(expression: str, value: float = 1, labels: str = "{}") -> dict[str, Any]:
    """A promtool test: at the end the expression has this one value."""
    return {"expr": expression, "eval_time": EVALUATED, "exp_samples": [{"labels": labels, "value": value}]}


def silent(expression: str) -> dict[str, Any]:
    """A promtool test: at the end the expression has no value."""
    return {"expr": expression, "eval_time": EVALUATED, "exp_samples": []}


def answered(folder: Path, tests: list[dict[str, Any]], scraped: Series | None = None) -> None:
    """Runs promtool tests on the series of the run, or on others."""
    assert tests
    run_rule_tests(folder, (), input_series() if scraped is None else scraped, {"promql_expr_test": tests}, INTERVAL)


def near(queries: tuple[tuple[str, str], ...], panel: str, numbers: tuple[float, ...]) -> list[dict[str, Any]]:
    """A test for each query of this panel: its results add up to the expected number."""
    found = [query for title, query in queries if title == panel]
    return [asked(f"abs(sum({q}) - {number}) < bool 1e-9") for q, number in zip(found, numbers, strict=True)]


def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:query:{index}", "expr": query} for index, (_, query) in enumerate(QUERIES)]
    said = checked_rules(tmp_path, [{"name": "dashboard", "rules": rules}])
    assert f"{len(QUERIES)} rules found" in said


@pytest.mark.parametrize("queries", [QUERIES, ALL_CHOSEN], ids=["one benchmark", "all benchmarks"])
def test_every_query_has_a_result(tmp_path: Path, queries: tuple[tuple[str, str], ...]) -> None:
    answered(tmp_path, [asked(f"count({query}) > bool 0") for _, query in queries])


def test_every_result_has_the_labels_that_its_legend_or_table_shows(tmp_path: Path) -> None:
    tests = []
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                query = filled(target["expr"], VARIABLES)
                for label in shown(panel, target) - {"cluster"}:
                    probe = f'label_replace({query}, "probe", "found", "{label}", ".+")'
                    tests.append(asked(f"count by (probe) ({probe}) > bool 0", labels='{probe="found"}'))
    answered(tmp_path, tests)


def test_panels_show_the_right_numbers(tmp_path: Path) -> None:
    answered(tmp_path, [test for title, numbers in NUMBERS.items() for test in near(QUERIES, title, numbers)])


def test_panels_add_up_several_benchmarks(tmp_path: Path) -> None:
    answered(tmp_path, [test for title, numbers in OF_ALL.items() for test in near(ALL_CHOSEN, title, numbers)])


def test_unknown_values_are_nan_and_never_0(tmp_path: Path) -> None:
    found = expressions({**CHOSEN, "benchmark": "bare"}, "scaling", "fleet")
    tests = [asked(f"count({query}) > bool 0") for _, query in found]
    tests += [asked(f"count(({query}) != ({query}))") for title, query in found if title in NOT_KNOWN]
    answered(tmp_path, tests, of_operator(bare()))


@pytest.mark.parametrize(
    ("point", "knobs"),
    [
        ("devices=8", None),
        ("devices=16,precision=fp32", "precision=fp32"),
        ("deviceMicrobatchSize=4,devices=8", "deviceMicrobatchSize=4"),
        ("deviceMicrobatchSize=4,devices=8,precision=fp32", "deviceMicrobatchSize=4,precision=fp32"),
    ],
)
def test_a_curve_is_identified_by_its_knobs_other_than_devices(tmp_path: Path, point: str, knobs: str | None) -> None:
    query = with_knobs(f'label_replace(vector(1), "point", "{point}", "", "")')
    swept = f',knobs="{knobs}"' if knobs is not None else ""
    answered(tmp_path, [asked(query, labels=f'{{point="{point}"{swept}}}')])


def test_a_benchmark_that_is_not_chosen_is_not_shown(tmp_path: Path) -> None:
    other = expressions({**CHOSEN, "benchmark": "other"})
    answered(tmp_path, [silent(query) for _, query in other if "benchmark=~" in query])


def test_a_cluster_that_is_not_chosen_is_not_shown(tmp_path: Path) -> None:
    answered(tmp_path, [silent(query) for _, query in expressions({**CHOSEN, "cluster": "elsewhere"})])


def test_clusters_are_separate_or_added_up_and_can_be_chosen(tmp_path: Path) -> None:
    tests = []
    of_one = expressions({**CHOSEN, "cluster": "east"})
    for (_, both), (_, one) in zip(QUERIES, of_one, strict=True):
        outermost = both.partition("by (")[2]
        twice = "count" if outermost.startswith("cluster") else "sum"
        tests.append(asked(f"{twice}({both}) == bool 2 * {twice}({one})"))
    answered(tmp_path, tests, input_series(cluster="east") | input_series(cluster="west"))


def shown(panel: dict[str, Any], target: dict[str, Any]) -> set[str]:
    """The labels of a legend; in a table, those that become columns."""
    if target["format"] != "table":
        return set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    columns = next(step for step in panel["transformations"] if step["id"] == "organize")["options"]["renameByName"]
    kept = re.findall(r"\w+", target["expr"].partition("by (")[2].partition(")")[0])
    return {name for name in columns if name in kept}
