"""Builds a dashboard around its panels: variables, links to the other dashboards, and the layout."""

from collections.abc import Iterator
from dataclasses import dataclass

from charts.dashboards.panels import DATASOURCE, Json, Panel
from sdbench.controller.metrics import definitions

COLUMNS = 24
"""The width of Grafana's grid."""

DASHBOARDS = {"sdbench-run": "Run", "sdbench-scaling": "Scaling", "sdbench-fleet": "Fleet and operator"}
"""The titles of the dashboards that link to each other, by uid."""


@dataclass(frozen=True)
class Section:
    """A row with a title, and the panels below it from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """One page in Grafana; DASHBOARDS holds its title."""

    uid: str
    description: str
    sections: tuple[Section, ...]

    @property
    def file(self) -> str:
        """The name of the dashboard's file."""
        return f"{self.uid.removeprefix('sdbench-')}.json"

    def model(self) -> Json:
        """The dashboard in Grafana's JSON."""
        return {
            "id": None,
            "uid": self.uid,
            "title": f"Stable Diffusion benchmarks / {DASHBOARDS[self.uid]}",
            "description": self.description,
            "tags": ["sdbench"],
            "editable": False,
            "graphTooltip": 1,
            "schemaVersion": 39,
            "version": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "annotations": {"list": []},
            "links": [_link(uid, title) for uid, title in DASHBOARDS.items() if uid != self.uid],
            "templating": {"list": _variables()},
            "panels": list(_placed(self.sections)),
        }


def _placed(sections: tuple[Section, ...]) -> Iterator[Json]:
    """Rows and panels with their ids and places; a panel that does not fit goes to the next line."""
    number = top = 0
    for section in sections:
        number += 1
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": section.title, "collapsed": False, "gridPos": place, "panels": []}
        left, top, height = 0, top + 1, 0
        for panel in section.panels:
            if left + panel.width > COLUMNS:
                left, top, height = 0, top + height, 0
            number += 1
            yield panel.model(number, left, top)
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _link(uid: str, title: str) -> Json:
    """A link that keeps the time range and the chosen Benchmarks."""
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "keepTime": True,
        "includeVars": True,
        "tooltip": "",
    }


def _variables() -> list[Json]:
    """The variables at the top of a dashboard."""
    # A Prometheus without the label `cluster` offers no values, and All then matches an absent label, too.
    datasource = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "current": {},
    }
    phase = definitions.PHASE.name
    return [
        datasource,
        _chosen("cluster", f"label_values({phase}, cluster)", ".*"),
        _chosen("namespace", f'label_values({phase}{{cluster=~"$cluster"}}, namespace)', ".+"),
        _chosen("benchmark", f'label_values({phase}{{cluster=~"$cluster", namespace=~"$namespace"}}, benchmark)', ".+"),
    ]


def _chosen(name: str, query: str, everything: str) -> Json:
    """A variable whose values Grafana asks Prometheus for, each time the time range changes."""
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": everything,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
        "hide": 0,
    }
