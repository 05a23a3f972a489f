"""Keeps the last results of the long tests as JSON, and renders them as a page.

A run replaces the rows that it measures, and keeps the others.
"""

import json
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs/long-results.json"
PAGE = ROOT / "docs/long-results.md"

HEADER = """\
# Results of `make test-long`

The tests write this page; do not edit it. Each row has the commit and the date of its last run.
"""

Row = dict[str, Any]


@dataclass
class Results:
    """The rows of this run by table and by identifying columns; `commit` is the commit at the run's start."""

    tables: dict[str, dict[str, Row]] = field(default_factory=dict)
    commit: str = field(default_factory=lambda: commit())

    def add(self, table: str, *columns: str, **row: Any) -> None:
        """Adds a row, or replaces the one with the same values in `columns`. In its keys, _ stands for a space."""
        which = ", ".join(str(row[column]) for column in columns)
        found = {key.replace("_", " "): str(value) for key, value in row.items()}
        self.tables.setdefault(table, {})[which] = found

    def write(self) -> None:
        """Writes the results as JSON and as a page, if there are any."""
        if not self.tables:
            return
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        stamp = {"commit": self.commit, "date": datetime.now(UTC).strftime("%Y-%m-%d")}
        for name, rows in self.tables.items():
            kept[name] = kept.get(name, {}) | {which: row | stamp for which, row in rows.items()}
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        PAGE.write_text(page(kept))


def page(kept: dict[str, Any]) -> str:
    """All tables as Markdown."""
    return "\n".join([HEADER, *(section(name, kept[name]) for name in sorted(kept))])


def section(name: str, table: dict[str, Row]) -> str:
    columns = list(next(iter(table.values())))
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row.get(column, '') for column in columns)} |" for row in table.values()]
    return "\n".join([f"## {name}", "", *lines, ""])


def commit() -> str:
    """The checkout's commit, with a plus if anything but the results is uncommitted."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/long-results.*")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
