"""Tests that the page on what survives what names existing tests, and every fault."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text()
TESTS = sorted(set(re.findall(r"`(\w+/[\w/]+\.py)`", PAGE)))
ROWS = re.findall(r"^\| (T\d+) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("path", TESTS)
def test_a_test_that_the_page_names_is_there(path: str) -> None:
    text = (ROOT / "tests" / path).read_text()
    assert "def test_" in text or ".TestCase" in text


def test_every_fault_has_a_row_with_a_test() -> None:
    assert [row[0] for row in ROWS] == [f"T{number}" for number in range(1, 25)]
    assert all(".py`" in shown for _, _, shown, _ in ROWS)
