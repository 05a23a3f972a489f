"""Does the house keep its own rules? What no linter knows of them."""

import ast
import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE_LIMIT = 300


def tracked(*patterns: str) -> list[Path]:
    """The files under version control (and new ones not ignored) that match."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for path in (ROOT / name for name in listed.stdout.splitlines()) if path.is_file()]


PYTHON_FILES = tracked("*.py")
PRODUCT_FILES = tracked("operator/*.py", "trainer/*.py")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_a_file_says_in_its_first_lines_what_question_it_answers(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "give the file a docstring that says what question it answers"


@pytest.mark.parametrize("path", PRODUCT_FILES, ids=relative)
def test_a_file_of_the_products_is_short_enough_to_answer_one_question(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINE_LIMIT


def test_the_operator_folder_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_requirements_are_hashed_and_name_no_index() -> None:
    for path in tracked("requirements/*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text, path
        assert "http" not in text.replace("aiohttp", "").replace("httpx", "").replace("httpcore", ""), path


def test_the_reference_pages_are_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name} is stale: run make generate"
