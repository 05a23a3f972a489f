"""Tests that the page on how the number is made names places that exist."""

import ast
import re
from pathlib import Path

import pytest

from sdbench_trainer.report import Measurement

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "measurement.md").read_text()
PLACES = sorted(set(re.findall(r"`((?:trainer|operator)/[\w/]+\.py:[\w.]+)`", PAGE)))


def defined(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """What a module or class defines by name, with its own body."""
    return {
        node.name: node.body for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_the_page_names_is_there(place: str) -> None:
    file, _, names = place.partition(":")
    body = ast.parse((ROOT / file).read_text()).body
    for name in names.split("."):
        assert name in defined(body), f"docs/measurement.md names {place}"
        body = defined(body)[name]


def test_every_word_on_the_page_that_looks_like_a_place_is_checked() -> None:
    assert len(PLACES) >= 20
    assert set(re.findall(r"`([^`\s]*\.py:[^`]*)`", PAGE)) == {*PLACES, "file.py:function"}


@pytest.mark.parametrize("name", [field.alias for field in Measurement.model_fields.values()])
def test_every_field_of_a_measurement_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE
