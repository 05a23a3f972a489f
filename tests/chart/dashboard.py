"""Which queries does a Grafana dashboard ask? Its panels and their PromQL, with the variables filled in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

GRAFANA_VARIABLES = {"__rate_interval": "30s", "__interval": "15s", "__range": "1h"}
"""What Grafana itself would fill in; `variables` may say otherwise."""

VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::\w+)?\})")
"""`$name`, `${name}` or `${name:format}`."""


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that shows something, also those inside collapsed rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panels(panel)
        else:
            yield panel


def expressions(dashboard: Mapping[str, Any], variables: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(panel title, PromQL without variables) of every query; a variable without a value is a KeyError."""
    values = {**GRAFANA_VARIABLES, **variables}
    return tuple(
        (panel["title"], filled(target["expr"], values)) for panel in panels(dashboard) for target in panel["targets"]
    )


def filled(query: str, values: Mapping[str, str]) -> str:
    """The query with each variable replaced by its value."""
    return VARIABLE.sub(lambda found: values[found["plain"] or found["braced"]], query)
