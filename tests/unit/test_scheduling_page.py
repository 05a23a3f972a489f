"""Tests that docs/scheduling.md is complete, and that its examples are accepted."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdbench.api.reserved import ALLOWED, DOMAINS, RESERVED_NAMES
from sdbench.api.spec_scheduling import Scheduling
from sdbench.controller.options import read_presets
from sdbench.core.plan.validate import accepted
from unit.controller.shapes import ROOT, benchmark

PAGE = (ROOT / "docs/scheduling.md").read_text()
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
NAMED = set(re.findall(r"`([^`]+)`", PROSE))


def example(key: str) -> Any:
    """What the example that begins with this key has under it."""
    (text,) = (found for found in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if found.startswith(f"{key}:"))
    return yaml.safe_load(text)[key]


@pytest.mark.parametrize("name", [*DOMAINS, *ALLOWED, *RESERVED_NAMES])
def test_each_key_that_is_reserved_or_allowed_is_on_the_page(name: str) -> None:
    assert name in NAMED


@pytest.mark.parametrize("field", [field.alias for field in Scheduling.model_fields.values()])
def test_each_field_is_on_the_page(field: str) -> None:
    assert re.search(rf"`{field}[:`]", PROSE)


def test_the_question_of_the_page_can_be_asked() -> None:
    assert accepted(benchmark(**example("spec")))


def test_the_presets_of_the_page_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(yaml.safe_dump(example("presets")))
    assert list(read_presets(file)) == ["infiniband"]
