"""Tests that each distribution declares what it imports, and that the requirements are pinned and hashed."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"sdbench": "sdbench", "sdbench_trainer": "sdbench-trainer"}
PARTS = {"pydantic_core": "pydantic", "yaml": "pyyaml", "composer": "mosaicml"}
"""Modules of a package that another one ships or names otherwise."""


def names(requirements: list[str]) -> set[str]:
    """The normalized names in a list of requirements."""
    return {re.split(r"[<>=!;\[ ]", line)[0].lower().replace("_", "-") for line in requirements}


def declared(distribution: str) -> set[str]:
    project = tomllib.loads((ROOT / distribution / "pyproject.toml").read_text())["project"]
    extras = [one for group in project.get("optional-dependencies", {}).values() for one in group]
    return names([*project["dependencies"], *extras])


def imported(distribution: str) -> set[str]:
    """The distributions whose modules the sources import."""
    found = set()
    for path in (ROOT / distribution / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    known = packages_distributions()
    modules = found - sys.stdlib_module_names - {distribution_module(distribution)}
    return {OURS.get(one) or PARTS.get(one) or known.get(one, [one])[0].lower().replace("_", "-") for one in modules}


def distribution_module(distribution: str) -> str:
    return "sdbench" if distribution == "operator" else "sdbench_trainer"


@pytest.mark.parametrize("distribution", ["operator", "trainer"])
def test_what_is_imported_is_declared(distribution: str) -> None:
    assert imported(distribution) - declared(distribution) == set()


@pytest.mark.parametrize("distribution", ["operator", "trainer"])
def test_what_is_declared_is_in_the_requirements_of_the_image(distribution: str) -> None:
    lines = (ROOT / "requirements" / f"{distribution}.in").read_text().splitlines()
    listed = names([line for line in lines if line and not line.startswith("#")])
    assert declared(distribution) - listed == {"sdbench-trainer"} & declared(distribution)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_requirements_are_hashed_and_name_no_index(path: Path) -> None:
    text = path.read_text()
    assert "--hash=sha256:" in text
    assert "http" not in text.replace("aiohttp", "").replace("httpx", "").replace("httpcore", "")
