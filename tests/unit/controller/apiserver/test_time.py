"""Tests that only the API server's clock counts, and never the operator's own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
ROOMS = ("api", "core", "controller")
FILES = sorted(path for room in ROOMS for path in (ROOT / "operator/src/sdbench" / room).glob("**/*.py"))
OWN_CLOCK = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime"}
CLOCKS = {"datetime", "date", "time"}


def asked(path: Path) -> Iterator[str]:
    """Where a file reads this machine's wall clock, as in datetime.now() and time.time()."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in OWN_CLOCK and _name(node.value) in CLOCKS:
            yield f"{path.name}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"{path.name}:{node.lineno}" for name in node.names if name.name in OWN_CLOCK)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_operator_never_asks_its_own_wall_clock(path: Path) -> None:
    assert list(asked(path)) == []


@pytest.mark.parametrize("line", ["datetime.now(UTC)", "datetime.datetime.utcnow()", "time.time()", "date.today()"])
def test_a_use_of_the_own_wall_clock_is_found(line: str, tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text(line)
    assert list(asked(file)) == ["file.py:1"]
