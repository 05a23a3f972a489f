"""Tests that the architecture page names only what exists, and every folder of the code."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ABOVE = (ROOT, ROOT / "operator/src", ROOT / "trainer/src")
PAGE = (ROOT / "docs/architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.toml)(?::(\w+))?`", PAGE)))
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.split("\n## Where does it go?\n")[1].splitlines()
    if line.startswith("| ") and not line.startswith("| you add")
]
TOP_FOLDERS = ("benchmarks", "charts/dashboards", "charts/sdbench", "crds", "docker", "docs", "release", "requirements")


def found(path: str) -> Path | None:
    """The file or folder that the page calls `path`, or None if it does not exist."""
    return next((folder / path for folder in ABOVE if (folder / path).exists()), None)


def defined(file: Path) -> Iterator[str]:
    """The names of a module's own functions, classes and constants."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def code_folders() -> set[str]:
    """Every folder with Python files of the two products, and every tier, as the page writes them."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True)
    parents = [Path(name).parent for name in listed.stdout.splitlines()]
    products = {str(Path(*path.parts[2:])) for path in parents if path.parts[:1] in [("operator",), ("trainer",)]}
    tiers = {str(Path(*path.parts[:2])) for path in parents if len(path.parts) > 1 and path.parts[0] == "tests"}
    return products | tiers


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[f"{path}:{name}" if name else path for path, name in NAMED])
def test_what_the_page_names_exists(path: str, name: str) -> None:
    file = found(path)
    assert file is not None, f"there is no {path}"
    assert not name or name in set(defined(file)), f"{path} does not define {name}"


@pytest.mark.parametrize("folder", sorted({*code_folders(), *TOP_FOLDERS}))
def test_every_folder_is_on_the_map(folder: str) -> None:
    assert f"| `{folder}/` |" in PAGE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_one_file_to_start_in_and_a_command_that_exists(row: list[str]) -> None:
    _, start, _, check = row
    paths = re.findall(r"`([\w./-]+)`", start)
    assert len(paths) == 1
    assert (file := found(paths[0])) is not None
    assert file.is_file()
    commands = re.findall(r"`make ([a-z-]+)`", check)
    assert len(commands) == 1
    assert re.search(rf"^{commands[0]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_table_answers_what_is_asked_most() -> None:
    asked = {"a reason", "a trainer knob", "a right of the operator", "a CLI command", "a chart value", "a test tier"}
    assert asked <= {row[0] for row in ROWS}
