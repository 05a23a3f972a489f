"""Builds the kinds of panels; `Panel.model` holds what they have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Any

from charts.dashboards.catalog import selected, with_knobs

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRAFANA = "11.6.0"
"""The version of Grafana whose options the panels have; Grafana migrates older ones by it."""

UNKNOWN = {"type": "special", "options": {"match": "nan", "result": {"text": "unknown", "index": 0}}}
"""Shows NaN as "unknown", never as 0."""

BENCHMARK_COLUMNS = {"cluster": "Cluster", "namespace": "Namespace", "benchmark": "Benchmark"}
LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
BLUES = {"mode": "scheme", "scheme": "Blues", "fill": "blue", "scale": "exponential", "exponent": 0.5, "steps": 64}
LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
TOOLTIP = {"mode": "multi", "sort": "desc"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """PromQL without selectors, and the legend of its series (in a table: the heading of its column)."""

    expression: str
    legend: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Grafana's field properties of its series, such as `custom.lineWidth`."""


@dataclass(frozen=True)
class Panel:
    """One panel without its place. Defaults, options and transformations are Grafana's."""

    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int = 8
    instant: bool = False
    form: str = "time_series"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    transformations: tuple[Json, ...] = ()
    overrides: tuple[Json, ...] = ()

    def model(self, number: int, x: int, y: int) -> Json:
        """The panel in Grafana's JSON, with this id and place."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "pluginVersion": GRAFANA,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {
                "defaults": {"unit": self.unit, "mappings": [UNKNOWN], "custom": {}, **self.defaults},
                "overrides": [*self.overrides],
            },
            "options": {**self.options},
            "transformations": [*self.transformations],
            "targets": [self._target(letter, query) for letter, query in _lettered(self.queries)],
        }

    def _target(self, letter: str, query: Query) -> Json:
        return {
            "refId": letter,
            "datasource": DATASOURCE,
            "expr": selected(query.expression),
            "legendFormat": query.legend if self.form != "table" else "__auto",
            "format": self.form,
            "instant": self.instant,
            "range": not self.instant,
        }


def lines(title: str, description: str, unit: str, *queries: Query, width: int = 8, **defaults: Any) -> Panel:
    """Series over time."""
    look = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "auto", "spanNulls": False}
    return Panel(
        *("timeseries", title, description, unit, queries, width),
        defaults={"min": 0, "custom": look, **defaults},
        options={"legend": LEGEND, "tooltip": TOOLTIP},
        overrides=tuple(
            _override("byFrameRefID", letter, query.properties)
            for letter, query in _lettered(queries)
            if query.properties
        ),
    )


def areas(title: str, description: str, unit: str, *queries: Query, width: int = 8) -> Panel:
    """Stacked series over time, for values whose sum has a meaning."""
    look = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}}
    return lines(title, description, unit, *queries, width=width, decimals=0, custom=look)


def numbers(title: str, description: str, unit: str, *queries: Query, width: int = 6, decimals: int = 0) -> Panel:
    """The last values, in large digits."""
    return Panel(
        *("stat", title, description, unit, queries, width),
        height=5,
        instant=True,
        defaults={"decimals": decimals},
        options={"reduceOptions": LAST, "colorMode": "none", "graphMode": "none", "textMode": "value_and_name"},
    )


def words(title: str, description: str, *queries: Query, width: int = 6, **shape: Any) -> Panel:
    """The legends in large letters, for series whose labels hold the information."""
    return Panel(
        *("stat", title, description, "none", queries, width),
        **{"height": 5, "instant": True, **shape},
        options={"reduceOptions": LAST, "colorMode": "none", "graphMode": "none", "textMode": "name"},
    )


def bars(title: str, description: str, unit: str, *queries: Query, width: int = 8, decimals: int = 1) -> Panel:
    """The last values as bars."""
    blue = {"mode": "absolute", "steps": [{"color": "blue", "value": None}]}
    return Panel(
        *("bargauge", title, description, unit, queries, width),
        instant=True,
        defaults={"min": 0, "decimals": decimals, "thresholds": blue},
        options={"reduceOptions": LAST, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True},
    )


def states(title: str, description: str, query: Query, names: Mapping[int, tuple[str, str]], width: int = 8) -> Panel:
    """The state of each series over time; `names` maps a value to its name and colour."""
    shown = {str(value): {"text": text, "color": color, "index": value} for value, (text, color) in names.items()}
    return Panel(
        *("state-timeline", title, description, "none", (query,), width),
        defaults={"mappings": [{"type": "value", "options": shown}], "custom": {"fillOpacity": 70, "lineWidth": 0}},
        options={"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": LEGEND, "tooltip": TOOLTIP},
    )


def heat_map(title: str, description: str, unit: str, query: Query, width: int = 12) -> Panel:
    """The buckets of a histogram over time; `unit` is that of its edges."""
    return Panel(
        *("heatmap", title, description, unit, (query,), width),
        form="heatmap",
        options={
            "calculate": False,
            "cellGap": 1,
            "color": {**BLUES, "reverse": False},
            "cellValues": {"unit": "short", "decimals": 0},
            "exemplars": {"color": "orange"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
            "yAxis": {"unit": unit, "axisPlacement": "left"},
        },
    )


def table(title: str, description: str, labels: Mapping[str, str], *queries: Query, link: Json | None = None) -> Panel:
    """A row for each set of labels, a column for each label and for each query with a legend.

    `labels` maps a label to its heading; `link` is the link of a Benchmark's name.
    """
    looks = {query.legend: query.properties for query in queries if query.properties}
    if link is not None:
        looks["Benchmark"] = {"links": [link]}
    return Panel(
        *("table", title, description, "none", queries, 24),
        height=9,
        instant=True,
        form="table",
        options={"showHeader": True, "cellHeight": "sm"},
        transformations=_columns(labels, queries),
        overrides=tuple(_override("byName", column, properties) for column, properties in looks.items()),
    )


def curves(title: str, description: str, unit: str, *queries: Query, width: int = 12) -> Panel:
    """Results of Points over their devices, with a curve for each Benchmark and each combination of its other knobs."""
    # After `partitionByValues` Grafana finds fields only by their original names: labels, and `Value`.
    curve = {**BENCHMARK_COLUMNS, "knobs": "Knobs"}
    labels = {**curve, "devices": "Devices", "point": "Point"}
    apart = {"fields": [*curve.values()], "keepFields": False, "naming": {"asLabels": True}}
    values = _value_fields(queries)
    looks = {"devices": {"unit": "none", "decimals": 0}, **{name: query.properties for name, query in values.items()}}
    return Panel(
        *("xychart", title, description, unit),
        tuple(replace(query, expression=with_knobs(query.expression)) for query in queries),
        width,
        instant=True,
        form="table",
        defaults={"min": 0, "custom": {"show": "points+lines", "pointSize": {"fixed": 7}, "lineWidth": 1}},
        options={
            "mapping": "auto",
            "series": [
                {
                    "x": {"matcher": {"id": "byName", "options": "devices"}},
                    "y": {"matcher": {"id": "byNames", "options": {"names": [*values]}}},
                }
            ],
            "legend": LEGEND,
            "tooltip": {"mode": "single", "sort": "none"},
        },
        transformations=(*_columns(labels, queries), {"id": "partitionByValues", "options": apart}),
        overrides=tuple(_override("byName", name, properties) for name, properties in looks.items() if properties),
    )


def _lettered(queries: tuple[Query, ...]) -> Iterator[tuple[str, Query]]:
    """Each query with the letter by which Grafana refers to it."""
    return zip(ascii_uppercase, queries, strict=False)


def _value_fields(queries: tuple[Query, ...]) -> dict[str, Query]:
    """Grafana's name for the values of each query in a table."""
    if len(queries) == 1:
        return {"Value": queries[0]}
    return {f"Value #{letter}": query for letter, query in _lettered(queries)}


def _columns(labels: Mapping[str, str], queries: tuple[Query, ...]) -> tuple[Json, ...]:
    """Transformations that merge the queries' tables, name and order the columns, and sort the rows by devices."""
    named = {**labels, **{name: query.legend for name, query in _value_fields(queries).items()}}
    organized = {
        "excludeByName": {"Time": True, **{name: True for name, column in named.items() if not column}},
        "indexByName": {name: place for place, name in enumerate(named)},
        "renameByName": {name: column for name, column in named.items() if column},
    }
    steps: list[Json] = [{"id": "merge", "options": {}}]
    if "devices" in labels:
        to_number = {"targetField": "devices", "destinationType": "number"}
        steps.append({"id": "convertFieldType", "options": {"conversions": [to_number], "fields": {}}})
    steps.append({"id": "organize", "options": organized})
    if "devices" in labels:
        by_devices = {"fields": {}, "sort": [{"field": labels["devices"], "desc": False}]}
        steps.append({"id": "sortBy", "options": by_devices})
    return tuple(steps)


def _override(matcher: str, of: str, properties: Mapping[str, Any]) -> Json:
    listed = [{"id": name, "value": value} for name, value in properties.items()]
    return {"matcher": {"id": matcher, "options": of}, "properties": listed}
