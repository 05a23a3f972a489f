"""Tests the house rules that no linter knows: folders, names, first lines, and words."""

import ast
import re
import runpy
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE_LIMIT = 300
FIRST_LINE_LIMIT = 118

MODULES_ANYWHERE = 16
MODULES_IN_A_ROOM = 10
MODULES_OF_SHARDS = 15
ROOMS = ("operator/src/sdbench/core", "operator/src/sdbench/controller", "trainer/src/sdbench_trainer")
SHARDS = "trainer/src/sdbench_trainer/shards"
DISTRIBUTIONS = ("operator/src", "trainer/src")

BANNED = {
    r"told": "said, reported",
    r"borne": "allowed, tolerated",
    r"strangers?": "other processes, another owner",
    r"hopeless|hopeful|in hope|without a hope|hope": "that cannot succeed",
    r"(im)?patien(ce|t)": "timeout, deadline, wait",
    r"in the way": "blocks",
    r"in vain": "without success",
    r"as good as": "like, treated as",
    r"is no (YAML|JSON|number|share|mapping|text|object|integer|list|row|index|quantity|file|folder)": "is not a",
    r"culprits?|hindrances?|yardsticks?": "root cause, blocker, baseline",
    r"spoil(t|s|ed)?": "invalid, disqualified",
    r"(looked|looks?) at again": "requeued, checked again",
    r"begun anew|made anew|started anew": "restarted, recreated",
    r"untold": "not reported",
}
"""Words that read as translated, in prose and in names, and what to write."""

HALF_A_SENTENCE = re.compile(r"^(Of|Those|Itself|Without|As|Who)\b")
"""Words that no docstring begins with."""

QUESTION = re.compile(r"^(What|Which|How|Why|Where|When|Whose|Does|Do|Is|Are|May|Can)\b")
"""Words that the first line of a file does not begin with: it is a statement."""

PROSE_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".tpl", ".txt", ".toml", ".json", ".Dockerfile"}
THIS_FILE = Path(__file__).resolve()
"""The only file that may spell the banned words."""

HOMONYMS = {"main"}
"""The console scripts of a distribution may all be called so."""


def tracked(*patterns: str) -> list[Path]:
    """The files under version control, and new ones that are not ignored, that match."""
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
PROSE = [
    path
    for path in tracked(".")
    if (path.suffix in PROSE_SUFFIXES or path.name == "Makefile")
    and path != THIS_FILE
    and path.parent.name != "requirements"
]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstrings(path: Path) -> list[str]:
    """The docstrings of a file: its own, and those of its classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


def banned_words(text: str) -> list[str]:
    """Each banned word of a text with its line and what to write."""
    # Not \b, which takes the underscores of a name for letters.
    patterns = [
        (re.compile(rf"(?<![a-z])({words})(?![a-z])", re.IGNORECASE), instead) for words, instead in BANNED.items()
    ]
    return [
        f"line {number}: {line.strip()[:80]} → {instead}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, instead in patterns
        if pattern.search(line)
    ]


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_the_first_line_of_a_file_is_a_declarative_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "give the file a docstring that says what it does"
    first = docstring.splitlines()[0]
    assert first.endswith("."), first
    assert "?" not in first, first
    assert len(first) <= FIRST_LINE_LIMIT, first
    assert not HALF_A_SENTENCE.match(first), first
    assert not QUESTION.match(first), first


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_no_docstring_begins_with_half_a_sentence(path: Path) -> None:
    assert [text.splitlines()[0] for text in docstrings(path) if HALF_A_SENTENCE.match(text)] == []


@pytest.mark.parametrize("path", PRODUCT_FILES, ids=relative)
def test_a_file_of_the_products_is_short_enough_to_answer_one_question(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINE_LIMIT


@pytest.mark.parametrize("path", PROSE, ids=relative)
def test_docs_messages_and_docstrings_have_no_banned_words(path: Path) -> None:
    assert banned_words(path.read_text()) == []


def test_the_list_of_banned_words_finds_them() -> None:
    found = banned_words(
        "nobody is told\nStrangers on the host\nit is no YAML\ndef test_it_is_told()\na plain sentence\n"
    )
    assert [one.partition(":")[0] for one in found] == ["line 1", "line 2", "line 3", "line 4"]


def test_no_folder_holds_more_modules_than_one_overlooks() -> None:
    counts = Counter(relative(path.parent) for path in PYTHON_FILES if path.name != "__init__.py")
    assert {folder: count for folder, count in counts.items() if count > MODULES_ANYWHERE} == {}
    rooms = {folder: count for folder, count in counts.items() if folder.startswith(ROOMS) and folder != SHARDS}
    assert {folder: count for folder, count in rooms.items() if count > MODULES_IN_A_ROOM} == {}
    assert counts[SHARDS] <= MODULES_OF_SHARDS


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_no_two_things_of_a_distribution_share_a_name(distribution: str) -> None:
    """Modules, classes and public functions. A room may be called as what it is about."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in PRODUCT_FILES:
        name = relative(path)
        if not name.startswith(distribution):
            continue
        if path.name != "__init__.py":
            places[f"module {path.stem}"].append(name)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            ):
                places[node.name].append(name)
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in HOMONYMS} == {}


def test_the_operator_folder_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_the_reference_pages_are_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name} is stale: run make generate"
