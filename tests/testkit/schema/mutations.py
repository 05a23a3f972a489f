"""Derives places, samples and mutations from a structural schema, without any I/O.

It names no field of ours, so a field that is added to the types is covered without a change here.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from testkit.schema.samples import KEY, MUCH, Schema, bounds, distinct, many, required, samples, takes, texts

Where = tuple[str | int, ...]

FEW = 4
"""The number of values that represent all values of a place, if the walk is not thorough."""

HOSTILE = (
    *("$(HOME)", "$HOME", "${HOME}", "$$", "\\u0024(HOME)", "`id`", "$(id)", "; id", "-rm", "--help", "%s", "{{.}}"),
    *("\n", "a\nb", "\t", "\r", "\x0b", "\x00", "\x1b[31m", " ", "'", '"', "\\", "<b>", "/..", "..", "#"),
    *("ünïcode", "写真", "🐈", "\u00a0", "\u2028", "\u202e", "\ufeff", "e\u0301", "\u0660"),
)
"""Texts that a shell, the kubelet, a path, a terminal or a web page could misinterpret."""


class Absence(Enum):
    """The value of a missing field."""

    ABSENT = "absent"


ABSENT = Absence.ABSENT


@dataclass(frozen=True)
class Place:
    """A part of the document that the schema describes."""

    path: Where
    schema: Schema

    @property
    def name(self) -> str:
        """The path as the API server writes it: spec.devices.counts[0]."""
        return written(self.path)

    @property
    def is_leaf(self) -> bool:
        return self.schema["type"] not in ("object", "array") or "additionalProperties" in self.schema

    @property
    def is_ours(self) -> bool:
        """Whether only our schema describes it: metadata belongs to Kubernetes, which decodes it first."""
        return self.path[0] == "spec"


@dataclass(frozen=True)
class Mutation:
    """Another value for a place."""

    place: Place
    value: Any
    outside: bool
    """Whether the place's own schema refuses it, so that the refusal must name the place."""

    @property
    def name(self) -> str:
        return f"{self.place.name}={str(self.value)[:40]!r}"


def written(path: Where) -> str:
    """A path with dots between names and numbers in brackets."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def places(schema: Schema, path: Where = ()) -> Iterator[Place]:
    """Every place of a schema, parents first; for a list its first item, for a map one value."""
    yield Place(path, schema)
    for name, part in schema.get("properties", {}).items():
        yield from places(part, (*path, name))
    if "items" in schema:
        yield from places(schema["items"], (*path, 0))
    if "additionalProperties" in schema:
        yield from places(schema["additionalProperties"], (*path, KEY))


def placed(document: dict[str, Any], root: Schema, path: Where, value: Any) -> dict[str, Any]:
    """A copy of the document with this value at the path; missing parents are added with their required fields."""
    result = copy.deepcopy(document)
    _place(result, root, path, value)
    return result


def at(document: Any, path: Where) -> Any:
    """The value at the path, or ABSENT."""
    for part in path:
        there = document.keys() if isinstance(document, dict) else range(len(document))
        if part not in there:
            return ABSENT
        document = document[part]
    return document


def mutations(place: Place, thorough: bool = True) -> Iterator[Mutation]:
    """Values that the place's schema accepts and values that it refuses, each once.

    Null and ABSENT count as accepted; the API server decides. Unless `thorough`, a few awkward texts and numbers
    represent all.
    """
    kind = place.schema["type"]
    likely, others = samples(place.schema), _OTHERS[kind](place.schema)
    outside = [*_OUTSIDE[kind](place.schema), *_VALUES[kind]]
    if not thorough:
        likely, others, outside = likely[:2] + likely[-3:], _spread(others), _spread(outside)
    yield from (Mutation(place, value, outside=False) for value in distinct([*likely, *others, None, ABSENT]))
    yield from (Mutation(place, value, outside=True) for value in distinct(outside))


def _spread(values: list[Any]) -> list[Any]:
    """A few of the values, spread from the first to the last."""
    return values[:: max(1, -(-len(values) // FEW))]


def _place(document: Any, schema: Schema, path: Where, value: Any) -> None:
    part, *rest = path
    inner = _inner(schema, part)
    if rest:
        if isinstance(part, str) and part not in document:
            document[part] = required(inner)
        if isinstance(part, int) and len(document) <= part:
            document.append(required(inner))
        _place(document[part], inner, tuple(rest), value)
    elif value is ABSENT:
        if isinstance(part, int):
            del document[part:]
        else:
            document.pop(part, None)
    elif isinstance(part, int) and len(document) <= part:
        document.append(value)
    else:
        document[part] = value


def _inner(schema: Schema, part: str | int) -> Schema:
    found: Schema = (
        schema["items"]
        if isinstance(part, int)
        else schema.get("properties", {}).get(part) or schema["additionalProperties"]
    )
    return found


def _hostile_texts(schema: Schema) -> list[Any]:
    """Evil texts alone, and before, behind and inside a valid text; the longest texts; unusual numerals."""
    if "enum" in schema:
        return []
    good = texts(schema)[-1]
    found = [
        text for hostile in HOSTILE for text in (hostile, good + hostile, hostile + good, good[:1] + hostile + good[1:])
    ]
    return found + _edge_texts(schema, 0) + (_numerals(schema) if takes(schema, "1") else [])


def _numerals(schema: Schema) -> list[Any]:
    """The largest and the smallest number that fit, several forms of zero, and the same with a unit."""
    length = schema["maxLength"]
    plain = ["0", "0.0", "00", "007", "9" * length, f"0.{'0' * (length - 3)}1", "1e3", "1e400", "NaN", "-1", "+1", ".5"]
    return [*plain, "0Gi", "9" * (length - 2) + "Ti", f"0.{'0' * (length - 4)}1m", "1e3Gi"]


def _edge_texts(schema: Schema, beyond: int) -> list[str]:
    """A valid text whose first or last character is repeated up to the maximum length, plus `beyond`."""
    if "maxLength" not in schema:
        return []
    length, good = schema["maxLength"] + beyond, texts(schema)[-1]
    more = length - len(good)
    return [good + good[-1] * more, good[0] * more + good]


def _more_lists(schema: Schema) -> list[Any]:
    """An empty list, a duplicate item, and the maximum number of different items."""
    least, most = schema.get("minItems", 0), schema.get("maxItems", 0)
    items = many(schema["items"], most)
    found = [items, [items[0], items[0]]] if items else []
    return found + ([[]] if not least else [])


def _more_objects(schema: Schema) -> list[Any]:
    """An object with every field; for a map, unusual keys."""
    if "additionalProperties" in schema:
        (value, *_) = samples(schema["additionalProperties"])
        return [{}, *({key: value} for key in ("", "a/b", "a.b/c", "walk" * 16, "kubernetes.io/x", *HOSTILE))]
    whole = {name: samples(part)[0] for name, part in schema.get("properties", {}).items()}
    return [whole]


_OTHERS = {
    "integer": lambda _: [0, 1, -1, 2.0],
    "boolean": lambda _: [],
    "string": _hostile_texts,
    "array": _more_lists,
    "object": _more_objects,
}


def _outside_integers(schema: Schema) -> list[Any]:
    low, high, step = bounds(schema)
    return [low - step, high + step, low + 0.5, *([low + 1, high - 1] if step > 1 else ()), 10**30]


def _outside_texts(schema: Schema) -> list[Any]:
    if "enum" in schema:
        return ["", "walk", schema["enum"][0].swapcase() + "x", f"{schema['enum'][0]}\n", f" {schema['enum'][0]}"]
    return [*_edge_texts(schema, 1), *(["a" * MUCH] if "maxLength" in schema else ())]


def _outside_lists(schema: Schema) -> list[Any]:
    most = schema.get("maxItems")
    found: list[Any] = [[]] if schema.get("minItems") else []
    return found + ([[samples(schema["items"])[0]] * (most + 1)] if most is not None else [])


def _outside_objects(schema: Schema) -> list[Any]:
    if "additionalProperties" in schema:
        (value, *_), most = samples(schema["additionalProperties"]), schema["maxProperties"]
        return [{f"{KEY}-{number}": value for number in range(most + 1)}]
    least = required(schema)
    lacking = [{name: value for name, value in least.items() if name != left} for left in least]
    return [*lacking, least | {"walkedOffTheSchema": 1}]


_OUTSIDE = {
    "integer": _outside_integers,
    "boolean": lambda _: [],
    "string": _outside_texts,
    "array": _outside_lists,
    "object": _outside_objects,
}

_VALUES: dict[str, list[Any]] = {
    "integer": ["1", True, [1], {}],
    "boolean": ["true", 1, [True], {}],
    "string": [1, 1.5, True, ["a"], {}],
    "array": ["a", 1, True, {}],
    "object": ["a", 1, True, []],
}
