"""Keeps the last results of the long tests as JSON, and renders them as a page.

A run replaces the rows that it finds anew, and leaves the others as they were.
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

Written by the tests themselves; do not edit. Each row names the commit and the day of its last run.
"""

Row = dict[str, Any]


@dataclass
class Results:
    """The rows that this run finds, by table and by what tells them apart; the commit is that of its start."""

    tables: dict[str, dict[str, Row]] = field(default_factory=dict)
    commit: str = field(default_factory=lambda: commit())

    def add(self, table: str, *columns: str, **row: Any) -> None:
        """A row, in place of the one with the same values in `columns`; its keys are columns, _ stands for a space."""
        which = ", ".join(str(row[column]) for column in columns)
        found = {key.replace("_", " "): str(value) for key, value in row.items()}
        self.tables.setdefault(table, {})[which] = found

    def write(self) -> None:
        """Keep and show them; without a table nothing is touched."""
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
    """Of the checkout; with a plus if something but the results was not committed."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/long-results.*")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
