"""Writes the chart's dashboards and their page: `python -m charts.dashboards`, which `make generate` runs."""

import json
from pathlib import Path

from charts.dashboards.dashboard import Dashboard
from charts.dashboards.fleet import FLEET
from charts.dashboards.page import page
from charts.dashboards.run import RUN
from charts.dashboards.scaling import SCALING

ROOT = Path(__file__).resolve().parents[2]
ALL = (RUN, SCALING, FLEET)


def text(dashboard: Dashboard) -> str:
    """The dashboard as the text of its JSON file."""
    return json.dumps(dashboard.model(), indent=1, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """The text of every generated file, by its path below the repository's root."""
    folder = "charts/sdbench/dashboards"
    return {
        **{f"{folder}/{dashboard.file}": text(dashboard) for dashboard in ALL},
        "docs/dashboards.md": page(ALL),
    }


if __name__ == "__main__":
    for name, content in files().items():
        (ROOT / name).write_text(content)
