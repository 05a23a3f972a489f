"""Tests that each line of the threat model names an existing test."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
HEADS = [section.split("\n", 1)[0] for section in PAGE.split("\n## ")[1:]]


def rows(section: str) -> list[list[str]]:
    """The cells of each row of a section's table."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_the_page_names_is_there(path: str, name: str) -> None:
    defined = ast.walk(ast.parse((ROOT / "tests" / path).read_text()))
    functions = {node.name for node in defined if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions


@pytest.mark.parametrize("section", ["An author", "Secrets", "The operator", "Supply chain"])
def test_every_line_names_a_test(section: str) -> None:
    assert rows(section)
    for *facts, shown in rows(section):
        assert all(facts)
        assert re.fullmatch(r"`[\w/]+\.py::test_\w+`(, `[\w/]+\.py::test_\w+`)*", shown), facts


def test_what_is_not_defended_is_said_last() -> None:
    assert HEADS[-1] == "Not defended"
