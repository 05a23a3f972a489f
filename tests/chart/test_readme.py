"""Tests that the chart's README lists every value with its default and its comment."""

import json
import runpy
from pathlib import Path
from typing import Any

import yaml

from chart.support.rendering import chart_file

VALUES = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs" / "values.py"))

SAMPLE = """\
# About the file.

# One line.
plain: 1
group:
  # Two
  # lines with a | in them.
  inner: {a: "b"}
  deeper:
    # Explained.
    list: []
bare:
  bare:
    # Deep.
    value: true
# A map that is one value.
whole:
  requests: {cpu: 1}
"""


def test_the_readme_is_up_to_date() -> None:
    assert chart_file("README.md") == VALUES["page"](chart_file("values.yaml")), "run make generate"


def test_a_row_has_the_path_the_default_and_the_comment_of_a_value() -> None:
    found = [(one.path, one.default, one.meaning) for one in VALUES["values"](SAMPLE)]
    assert found == [
        ("plain", 1, "One line."),
        ("group.inner", {"a": "b"}, "Two lines with a | in them."),
        ("group.deeper.list", [], "Explained."),
        ("bare.bare.value", True, "Deep."),
        ("whole", {"requests": {"cpu": 1}}, "A map that is one value."),
    ]
    assert VALUES["row"](VALUES["values"](SAMPLE)[1]) == (
        '| `group.inner` | `{"a": "b"}` | Two lines with a \\| in them. |\n'
    )


def test_the_rows_cover_all_values() -> None:
    built: dict[str, Any] = {}
    for one in VALUES["values"](chart_file("values.yaml")):
        assert one.meaning.endswith((".", ")")), one.path
        *groups, name = one.path.split(".")
        place = built
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = one.default
    assert json.dumps(built) == json.dumps(yaml.safe_load(chart_file("values.yaml")))
