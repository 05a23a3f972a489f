"""Samples values that a schema accepts, the most likely first, without any I/O."""

import re
from itertools import islice
from typing import Any

Schema = dict[str, Any]

ROUND = (2, 4, 8, 16, 64, 100, 1_024, 65_536, 2**31, 2**53)
KEY = "walk.example/key"
"""A map's key that is valid for labels and annotations."""

MUCH = 10**6
"""A length of a string or list that no schema accepts."""

WORDS = (
    *("a", "walk", "1", "0.5", "2", "1Gi", "750m", "0.25", "walk-1", "walk.example/device", "registry.example/walk:1"),
    *("s3://walk/shards", "https://walk.example:9000", "file:///walk", "2030-01-01T00:00:00Z", "10s"),
)
"""Texts; each pattern of the schema must accept at least one."""


def samples(schema: Schema) -> list[Any]:
    """Values that a schema accepts, the most likely first; its CEL rules may still refuse one."""
    found = [schema["default"]] if "default" in schema else []
    found += _SAMPLES[schema["type"]](schema)
    return distinct(found)


def required(schema: Schema) -> Any:
    """The smallest valid value of an object or list."""
    if schema["type"] == "array":
        return []
    return {name: samples(schema["properties"][name])[0] for name in schema.get("required", ())}


def distinct(values: list[Any]) -> list[Any]:
    """Each value once; 1 and True are different."""
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(repr(value), value)
    return list(seen.values())


def _integers(schema: Schema) -> list[Any]:
    low, high, step = bounds(schema)
    near = [low + step, *ROUND, high, high - step, low]
    return [value for value in near if low <= value <= high and value % step == 0]


def bounds(schema: Schema) -> tuple[int, int, int]:
    """The smallest and largest integer that the schema accepts, and the step between values."""
    step = schema.get("multipleOf", 1)
    return schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1), step


def texts(schema: Schema) -> list[Any]:
    """Texts that the schema accepts. Raises AssertionError if there is none."""
    found = list(schema.get("enum", ())) or [word for word in WORDS if takes(schema, word)]
    assert found, f"no sample of samples.WORDS fits {schema.get('pattern')}: add one"
    return found


def takes(schema: Schema, text: str) -> bool:
    """Whether the schema accepts a text, if Python and the API server read its pattern alike."""
    length, pattern = len(text), schema.get("pattern", "")
    fits = schema.get("minLength", 0) <= length <= schema.get("maxLength", MUCH)
    return fits and re.search(pattern, text) is not None and text in schema.get("enum", (text,))


def _lists(schema: Schema) -> list[Any]:
    items, least = samples(schema["items"]), max(1, schema.get("minItems", 0))
    return [[item, *(item for _ in range(least - 1))] for item in items[:6]] + [items[:2]]


def _maps_and_objects(schema: Schema) -> list[Any]:
    if "additionalProperties" in schema:
        return [{KEY: value} for value in samples(schema["additionalProperties"])[:3]]
    least = required(schema)
    fields = schema.get("properties", {})
    return [least, *(least | {name: value} for name, part in fields.items() for value in samples(part)[:1])]


_SAMPLES = {
    "integer": _integers,
    "boolean": lambda _: [True, False],
    "string": texts,
    "array": _lists,
    "object": _maps_and_objects,
}


def many(schema: Schema, count: int) -> list[Any]:
    """Up to `count` different values that a schema accepts."""
    if schema["type"] == "integer":
        low, high, step = bounds(schema)
        return list(islice(range(max(low, 0), high + 1, step), count))
    if schema["type"] == "string" and "enum" not in schema:
        numbered = (f"{word}{number}" for word in texts(schema) for number in range(count))
        return list(islice((text for text in numbered if takes(schema, text)), count))
    return samples(schema)[:count]
