"""Tests that the CRD says what the types say, in a form that the API server and YAML readers accept."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdbench.api.crd import schema
from sdbench.api.crd.structural import AXIS_LENGTH, at

ROOT = Path(__file__).resolve().parents[3]
COPIES = ("crds/stablediffusionbenchmarks.yaml", "charts/sdbench/files/crd.yaml")
NOT_STRUCTURAL = {"$ref", "anyOf", "allOf", "title", "$defs"}
BOOLEANS_TO_YAML = {"y", "n", "yes", "no", "on", "off", "true", "false"}

SPEC = at(schema.root_schema(), "spec")
STATUS = at(schema.root_schema(), "status")


def parts(part: Any) -> Iterator[dict[str, Any]]:
    """A schema and every schema below it."""
    if isinstance(part, dict):
        yield part
        for below in part.values():
            yield from parts(below)
    elif isinstance(part, list):
        for below in part:
            yield from parts(below)


@pytest.mark.parametrize("copy", COPIES)
def test_the_generated_file_is_up_to_date(copy: str) -> None:
    assert (ROOT / copy).read_text() == schema.crd_yaml(), "run make generate"


def test_the_first_lines_of_the_file_say_how_it_is_generated() -> None:
    first, second, *_ = schema.crd_yaml().splitlines()
    assert "Generated" in first
    assert "make generate" in second


def test_the_yaml_file_holds_the_definition() -> None:
    assert yaml.safe_load(schema.crd_yaml()) == schema.definition()


def test_the_schema_has_no_keyword_that_is_not_structural() -> None:
    for part in parts(SPEC | STATUS):
        assert not NOT_STRUCTURAL & part.keys()
        assert part.get("additionalProperties") is not False


def test_no_field_name_is_a_boolean_in_yaml() -> None:
    for part in parts(schema.root_schema()):
        assert not BOOLEANS_TO_YAML & {str(name).lower() for name in part.get("properties", {})}


def test_the_api_has_no_floats() -> None:
    assert not [part for part in parts(schema.root_schema()) if part.get("type") == "number"]


def test_every_list_except_the_conditions_is_atomic() -> None:
    lists = [part for part in parts(schema.root_schema()) if part.get("type") == "array"]
    maps = [part for part in lists if part["x-kubernetes-list-type"] == "map"]
    assert maps == [at(STATUS, "conditions")]
    assert maps[0]["x-kubernetes-list-map-keys"] == ["type"]
    assert {part["x-kubernetes-list-type"] for part in lists} == {"atomic", "map"}


def test_every_string_and_list_of_the_spec_is_bounded() -> None:
    for part in parts(SPEC):
        if part.get("type") == "array":
            assert "maxItems" in part
        if part.get("type") == "string":
            assert "maxLength" in part or "enum" in part, part


def test_every_map_of_the_spec_is_bounded_and_its_keys_are_validated() -> None:
    maps = [part for part in parts(SPEC) if "additionalProperties" in part]
    assert len(maps) == 3
    for part in maps:
        assert part["maxProperties"] == 32
        assert part["additionalProperties"].keys() >= {"type", "maxLength"}
        assert any("self.all(k, k.size() <= 253" in rule["rule"] for rule in part["x-kubernetes-validations"])


def test_every_integer_of_the_spec_is_bounded_on_both_sides() -> None:
    """2**63 seconds from now is not a date that can be written."""
    for part in parts(SPEC):
        if part.get("type") == "integer":
            assert {"minimum", "maximum"} <= part.keys(), part


def test_every_pattern_means_the_same_to_the_api_server_and_to_python() -> None:
    r"""No pattern has \s, \w or \d, which are ASCII to the API server and Unicode to Python."""
    for part in parts(SPEC):
        if part.get("type") == "string":
            assert not re.search(r"\\[sSwWdDbB]|\(\?", part.get("pattern", "")), part


def test_every_field_of_the_spec_has_a_description() -> None:
    for part in parts(SPEC):
        for name, field in part.get("properties", {}).items():
            assert isinstance(field, str) or field.get("description"), name


def test_a_new_object_is_in_progress() -> None:
    assert STATUS["default"] == {"observedGeneration": -1, "phase": "Pending"}


def test_each_setting_of_the_trainer_has_an_axis_of_its_values() -> None:
    knob, axis = at(SPEC, "trainer.ema.smoothing"), at(SPEC, "sweep.ema.smoothing")
    assert axis["type"] == "array"
    assert (axis["minItems"], axis["maxItems"]) == (1, AXIS_LENGTH)
    assert axis["items"] == {key: knob[key] for key in ("type", "pattern", "maxLength")}
    assert at(SPEC, "sweep.model")["items"]["enum"] == at(SPEC, "trainer.model")["enum"]
    assert at(SPEC, "sweep").get("default") is None


def test_everything_except_limits_retention_and_switches_is_immutable() -> None:
    frozen = {
        name
        for name, field in SPEC["properties"].items()
        if any(rule["rule"] == "self == oldSelf" for rule in field.get("x-kubernetes-validations", ()))
    }
    assert SPEC["properties"].keys() - frozen == {"limits", "retention", "ttlSecondsAfterFinished", "suspend", "cancel"}
