"""Reads the panels and PromQL of the chart's dashboards, with the variables filled in."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chart.support.rendering import CHART

GRAFANA_VARIABLES = {"__rate_interval": "30s", "__interval": "15s", "__range": "1h", "cluster": ".*"}
"""The defaults of the variables: Grafana's own, and all clusters."""

VARIABLE = re.compile(r"\$(?:(?P<plain>[a-z_]\w*)|\{(?P<braced>\w+)(?::\w+)?\})")
"""`$name`, `${name}` or `${name:format}`; `$1` is a group of a regular expression."""

Json = dict[str, Any]


def dashboards() -> dict[str, Json]:
    """Every dashboard of the chart, by the name of its file without the ending: fleet, run and scaling."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((CHART / "dashboards").glob("*.json"))}


def expressions(variables: Mapping[str, str], *names: str) -> tuple[tuple[str, str], ...]:
    """(dashboard/panel, PromQL without variables) of every query of these dashboards, or of all.

    `namespace` and `benchmark` must have a value, a regular expression; a variable without one is a KeyError.
    """
    found = dashboards()
    return tuple(
        (f"{name}/{title}", query) for name in names or found for title, query in queries(found[name], variables)
    )


def queries(dashboard: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(panel, PromQL without variables) of every query of one dashboard."""
    values = {**GRAFANA_VARIABLES, **variables}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"], values)


def panels(dashboard: Mapping[str, Any]) -> Iterator[Json]:
    """Every panel except rows, and those inside collapsed rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panels(panel)
        else:
            yield panel


def filled(query: str, values: Mapping[str, str]) -> str:
    """The query with each variable replaced by its value."""
    return VARIABLE.sub(lambda found: values[found["plain"] or found["braced"]], query)
