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
    """The file, as it is kept."""
    return json.dumps(dashboard.model(), indent=1, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """Path below the repository's root → text of everything that follows from the panels."""
    folder = "charts/sdbench/dashboards"
    return {
        **{f"{folder}/{dashboard.file}": text(dashboard) for dashboard in ALL},
        "docs/dashboards.md": page(ALL),
    }


if __name__ == "__main__":
    for name, content in files().items():
        (ROOT / name).write_text(content)
