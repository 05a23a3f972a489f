"""Does the dashboard keep Grafana's conventions, so that it works on any installation?"""

import json
import re
from typing import Any

import pytest

from chart.dashboard import expressions, panels
from chart.rendering import chart_file

DASHBOARD: dict[str, Any] = json.loads(chart_file("dashboards/sdbench.json"))
PANELS = tuple(panels(DASHBOARD))
EVERY_PANEL = pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
SELECTOR = 'namespace=~"$namespace", benchmark=~"$benchmark"'


def test_it_has_a_fixed_uid_and_no_id() -> None:
    assert (DASHBOARD["uid"], DASHBOARD["id"], DASHBOARD["editable"]) == ("sdbench", None, False)


def test_ids_and_titles_of_panels_are_unique() -> None:
    everything = [*DASHBOARD["panels"], *PANELS]
    ids = {panel["id"]: panel["title"] for panel in everything}
    assert len(ids) == len({id(panel) for panel in everything})
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_no_two_panels_overlap() -> None:
    cells = [cell for panel in DASHBOARD["panels"] for cell in _cells(**panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


def test_datasource_namespace_and_benchmark_can_be_chosen() -> None:
    assert list(VARIABLES) == ["datasource", "namespace", "benchmark"]
    assert (VARIABLES["datasource"]["type"], VARIABLES["datasource"]["query"]) == ("datasource", "prometheus")
    for name in ("namespace", "benchmark"):
        variable = VARIABLES[name]
        assert variable["datasource"] == DATASOURCE
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["refresh"] == 2, "a new Benchmark must appear without reloading the page"


@EVERY_PANEL
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@EVERY_PANEL
def test_a_panel_asks_the_chosen_datasource_about_the_chosen_benchmarks(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == DATASOURCE
    for target in panel["targets"]:
        assert target["datasource"] == DATASOURCE
        assert re.search(r"sdbench_\w+\{" + re.escape(SELECTOR), target["expr"])
        assert target["expr"].count("sdbench_") == target["expr"].count(SELECTOR)


@EVERY_PANEL
def test_a_rate_is_taken_over_the_rate_interval(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert set(re.findall(r"\[([^]]*)\]", target["expr"])) <= {"$__rate_interval"}
        assert ("rate(" in target["expr"]) == ("[$__rate_interval]" in target["expr"])


def test_the_scaling_table_renames_exactly_the_columns_it_has() -> None:
    table = next(panel for panel in PANELS if panel["title"] == "Scaling table")
    renamed = next(step for step in table["transformations"] if step["id"] == "organize")["options"]["renameByName"]
    values = {f"Value #{target['refId']}" for target in table["targets"]}
    assert set(renamed) == values | {"namespace", "benchmark", "devices", "point"}
    assert {o["matcher"]["options"] for o in table["fieldConfig"]["overrides"]} <= set(renamed.values())


def test_a_variable_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="benchmark"):
        expressions(DASHBOARD, {"namespace": "default"})


def test_every_spelling_of_a_variable_is_filled_in() -> None:
    target = {"expr": 'rate(a{b=~"$b", c="${c}", d=~"${b:regex}"}[$__rate_interval]) + d{e="x$"}'}
    row = {"type": "row", "title": "row", "panels": [{"type": "stat", "title": "t", "targets": [target]}]}
    found = expressions({"panels": [row]}, {"b": "1", "c": "2", "__rate_interval": "1m"})
    assert found == (("t", 'rate(a{b=~"1", c="2", d=~"1"}[1m]) + d{e="x$"}'),)


def _cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    return [(column, line) for column in range(x, x + w) for line in range(y, y + h)]
