"""Tests that the dashboards keep Grafana's conventions, so that they work on any installation."""

import json
import re
from itertools import chain
from typing import Any

import pytest

from chart.support.dashboard import Json, dashboards, expressions, filled, panels, queries
from chart.support.rendering import Helm, of_kind
from charts.dashboards.__main__ import ROOT, files
from charts.dashboards.catalog import selected
from sdbench.controller.metrics import definitions
from sdbench_trainer.measure import metrics

DASHBOARDS = dashboards()
EVERY_DASHBOARD = pytest.mark.parametrize("name", DASHBOARDS)
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)]
EVERY_PANEL = pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=[f"{name}/{panel['title']}" for name, panel in PANELS]
)
TARGETS = [(f"{name}/{panel['title']}", target) for name, panel in PANELS for target in panel["targets"]]
EVERY_TARGET = pytest.mark.parametrize("target", [t for _, t in TARGETS], ids=[title for title, _ in TARGETS])

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_BENCHMARKS = 'cluster=~"$cluster", namespace=~"$namespace", benchmark=~"$benchmark"'
OF_OPERATOR = 'cluster=~"$cluster"'
SERIES = re.compile(r"\b(sdbench_\w+)(\{[^}]*\})?")
MADE = re.compile(r', "(\w+)", "[^"]*", "\w*", "[^"]*"\)')
"""A label that label_replace adds."""

CONFIG_MAP_LIMIT = 1_048_576

SCRAPED = {"namespace", "benchmark", "trial", "pod"}
"""The labels that the PodMonitor adds to the trainer's series."""


def test_the_chart_has_three_dashboards() -> None:
    assert list(DASHBOARDS) == ["fleet", "run", "scaling"]


@pytest.mark.parametrize(
    "name", [*(f"charts/sdbench/dashboards/{name}.json" for name in DASHBOARDS), "docs/dashboards.md"]
)
def test_the_committed_file_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == files()[name], "run make generate"


@EVERY_DASHBOARD
def test_a_dashboard_has_its_uid_and_its_tag(name: str) -> None:
    found = DASHBOARDS[name]
    assert (found["uid"], found["id"], found["tags"]) == (f"sdbench-{name}", None, ["sdbench"])
    assert (found["editable"], found["schemaVersion"], found["timezone"]) == (False, 39, "browser")
    assert found["description"].endswith(".")


@EVERY_DASHBOARD
def test_links_to_the_other_dashboards_keep_time_range_and_variables(name: str) -> None:
    links = DASHBOARDS[name]["links"]
    assert {link["url"] for link in links} == {f"/d/sdbench-{other}" for other in DASHBOARDS if other != name}
    assert all(link["keepTime"] and link["includeVars"] for link in links)


@EVERY_DASHBOARD
def test_ids_and_titles_are_unique(name: str) -> None:
    everything = DASHBOARDS[name]["panels"]
    for key in ("id", "title"):
        values = [panel[key] for panel in everything]
        assert len(values) == len(set(values))


@EVERY_DASHBOARD
def test_no_two_panels_overlap(name: str) -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS[name]["panels"]]
    cells = [
        (column, line)
        for at in places
        for column in range(at["x"], at["x"] + at["w"])
        for line in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


@EVERY_DASHBOARD
def test_each_variable_depends_on_those_before_it(name: str) -> None:
    datasource, *others = DASHBOARDS[name]["templating"]["list"]
    assert (datasource["name"], datasource["type"], datasource["query"]) == ("datasource", "datasource", "prometheus")
    assert [(one["name"], one["allValue"]) for one in others] == [
        ("cluster", ".*"),
        ("namespace", ".+"),
        ("benchmark", ".+"),
    ]
    for before, variable in zip([None, *others], others, strict=False):
        assert variable["datasource"] == DATASOURCE
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        assert variable["refresh"] == 2, "a new Benchmark must appear without reloading the page"
        assert before is None or f"${before['name']}" in variable["definition"], "offers only what belongs to it"
        assert variable["query"]["query"] == variable["definition"]
        assert definitions.PHASE.name in variable["definition"]


@EVERY_PANEL
def test_a_panel_has_a_title_a_description_and_a_unit(name: str, panel: Json) -> None:
    assert panel["title"]
    assert re.match(r"[A-Z].* .*\.$", panel["description"])
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@EVERY_PANEL
def test_a_panel_queries_the_chosen_datasource(name: str, panel: Json) -> None:
    assert panel["datasource"] == DATASOURCE
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    letters = [target["refId"] for target in panel["targets"]]
    assert len(letters) == len(set(letters))


@EVERY_TARGET
def test_a_query_selects_by_the_variables(target: Json) -> None:
    found = SERIES.findall(target["expr"])
    assert found
    for name, selector in found:
        own = not {"benchmark"} & labels(name) or 'component="operator"' in selector
        assert selector.startswith("{" + (OF_OPERATOR if own else OF_BENCHMARKS)), name
        assert own is ("$benchmark" not in selector)


@EVERY_TARGET
def test_a_rate_covers_the_rate_interval(target: Json) -> None:
    ranges = re.findall(r"\[([^]]*)\]", target["expr"])
    assert set(ranges) <= {"$__rate_interval"}
    assert len(re.findall(r"\b(?:rate|increase)\(", target["expr"])) == len(ranges)


@EVERY_TARGET
def test_a_counter_over_time_is_shown_as_a_rate(target: Json) -> None:
    for name, _ in SERIES.findall(target["expr"]):
        if re.search(r"_(total|bucket|count)$", name) and target["range"]:
            assert re.search(rf"\b(rate|increase)\({name}\b", target["expr"])


@EVERY_TARGET
def test_a_query_groups_by_served_labels(target: Json) -> None:
    made = set(MADE.findall(target["expr"]))
    known = set(chain.from_iterable(labels(name) for name, _ in SERIES.findall(target["expr"])))
    groups = re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"])
    assert groups
    assert {label for group in groups for label in group.split(", ") if label} <= known | made | {"cluster"}


@EVERY_TARGET
def test_a_legend_names_labels_that_the_query_keeps(target: Json) -> None:
    grouped = re.search(r"\bby \(([^)]*)\)", target["expr"])
    assert grouped
    made = set(MADE.findall(target["expr"]))
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= {*grouped[1].split(", ")} | made


def test_no_dashboard_depends_on_one_installation() -> None:
    for name, dashboard in DASHBOARDS.items():
        text = json.dumps(dashboard)
        assert set(re.findall(r'"uid": "([^"]*)"', text)) == {f"sdbench-{name}", "${datasource}"}
        assert not re.search(r"https?://", text)


@pytest.mark.parametrize("query", ["sdbench_images_each_second", "sum(rate(sdbench_images_totals[$__rate_interval]))"])
def test_a_query_for_an_unknown_metric_is_an_error(query: str) -> None:
    with pytest.raises(LookupError, match="is served neither by the operator nor by the trainer"):
        selected(query)


@EVERY_PANEL
def test_a_table_renames_exactly_the_columns_it_has(name: str, panel: Json) -> None:
    steps = {step["id"]: step["options"] for step in panel["transformations"]}
    if "organize" not in steps:
        return
    renamed, left_out = steps["organize"]["renameByName"], steps["organize"]["excludeByName"]
    letters = [target["refId"] for target in panel["targets"]]
    values = {f"Value #{letter}" for letter in letters} if len(letters) > 1 else {"Value"}
    columns = {column for column in {*renamed, *left_out} if column.startswith("Value")}
    assert columns == values
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", json.dumps(panel["targets"])))))
    assert {*renamed} - values == grouped | {*MADE.findall(panel["targets"][0]["expr"])}
    named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    assert named <= ({*renamed} if panel["type"] == "xychart" else {*renamed.values()})


def test_config_maps_are_created_on_request_and_hold_the_dashboards_for_the_sidecar(helm: Helm) -> None:
    asked = {"monitoring": {"dashboards": {"enabled": True, "annotations": {"grafana_folder": "Benchmarks"}}}}
    maps = _config_maps(helm, asked)
    assert {name.rsplit("-", 1)[1] for name in maps} == set(DASHBOARDS)
    for name, config in maps.items():
        assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert config["metadata"]["annotations"] == {"grafana_folder": "Benchmarks"}
        ((file, text),) = config["data"].items()
        of = name.rsplit("-", 1)[1]
        assert file == f"sdbench-{of}.json"
        assert json.loads(text) == DASHBOARDS[of]
        assert len(text.encode()) < CONFIG_MAP_LIMIT
    assert not _config_maps(helm, {})


def test_a_variable_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="benchmark"):
        expressions({"namespace": "default"})


def test_every_query_covers_all_clusters_by_default() -> None:
    found = expressions({"namespace": "default", "benchmark": "tiny"})
    assert [title for title, _ in found] == [title for title, _ in TARGETS]
    assert all('cluster=~".*"' in query and not re.search(r"\$\D", query) for _, query in found)


def test_every_spelling_of_a_variable_is_filled_in() -> None:
    query = 'rate(a{b=~"$b", c="${c}", d=~"${b:regex}"}[$__rate_interval]) + d{e="x$"}'
    row = {"type": "row", "title": "row", "panels": [{"type": "stat", "title": "t", "targets": [{"expr": query}]}]}
    wanted = 'rate(a{b=~"1", c="2", d=~"1"}[1m]) + d{e="x$"}'
    values = {"b": "1", "c": "2", "__rate_interval": "1m"}
    assert filled(query, values) == wanted
    assert [*queries({"panels": [row]}, values)] == [("t", wanted)]


def labels(name: str) -> set[str]:
    """The labels of an operator's or trainer's metric as Prometheus stores them."""
    metric = re.sub(r"_(bucket|count|sum)$", "", name)
    of_operator = [{*one.labels} for one in definitions.ALL if one.name in (name, metric)]
    of_trainer = [SCRAPED | {*one.labels} for one in metrics.METRICS if one.name in (name, metric)]
    assert of_operator or of_trainer, f"{name} is not served"
    return set().union(*of_operator, *of_trainer) | ({"le"} if name.endswith("_bucket") else set())


def _config_maps(helm: Helm, values: dict[str, Any]) -> dict[str, Json]:
    maps = {found["metadata"]["name"]: found for found in of_kind(helm.render(values), "ConfigMap")}
    return {name: found for name, found in maps.items() if "-dashboard" in name}
