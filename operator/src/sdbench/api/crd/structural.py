"""Turns a pydantic type into a structural schema, as the Kubernetes API wants it.

No $ref, no anyOf, no titles: types are inlined, and a field that may be None is just not required. No keyword says what
the keys of a map must be like: that takes a rule in CEL. The default of an object is written out, because the API
server judges a default by the rules before it fills in that of its parts.
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

KEPT = (
    *("type", "format", "description", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("multipleOf", "minItems", "maxItems", "maxProperties"),
)
"""Keywords that mean the same in both, in the order in which they are written."""

AXIS_LENGTH = 32
"""Most values of one swept knob."""


def structural(model: type[BaseModel], defaults: bool = True) -> Schema:
    """The schema of a model; without `defaults` for what only a program writes."""
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _inlined(whole, whole.get("$defs", {}), defaults)


def lifted(schema: Schema, path: str = "") -> Schema:
    """The schema with every leaf turned into a list of its values: the grid over these knobs."""
    if schema["type"] == "object":
        fields = {name: lifted(part, f"{path}.{name}") for name, part in schema["properties"].items()}
        return {"type": "object", "description": f"Knobs of trainer{path} to sweep.", "properties": fields}
    leaf = {key: value for key, value in schema.items() if key not in ("default", "description")}
    return {
        "type": "array",
        "description": f"Values of trainer{path} to try.",
        "minItems": 1,
        "maxItems": AXIS_LENGTH,
        "x-kubernetes-list-type": "atomic",
        "items": leaf,
    }


def at(schema: Schema, path: str) -> Schema:
    """The part of a schema at a path such as `spec.trainer`; the empty path is the whole."""
    for name in path.split(".") if path else ():
        schema = schema["properties"][name]
    return schema


def _inlined(schema: Schema, definitions: dict[str, Schema], defaults: bool) -> Schema:
    source = _without_none(_resolved(schema, definitions), definitions)
    result: Schema = {key: source[key] for key in KEPT if key in source}
    for bound, edge in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in source:
            result |= {edge: source[bound], bound: True}
    if defaults and source.get("default") is not None:
        result["default"] = _present(source["default"])
    if "items" in source:
        result["x-kubernetes-list-type"] = "atomic"
        result["items"] = _inlined(source["items"], definitions, defaults)
    if (values := _values(source)) is not None:
        result["additionalProperties"] = _inlined(values, definitions, defaults)
    return result | _fields(source, definitions, defaults)


def _values(source: Schema) -> Schema | None:
    """The schema of a map's values, whether its keys must be like a pattern or not."""
    for found in (source.get("additionalProperties"), *source.get("patternProperties", {}).values()):
        if isinstance(found, dict):
            return found
    return None


def _fields(source: Schema, definitions: dict[str, Schema], defaults: bool) -> Schema:
    if "properties" not in source:
        return {}
    result: Schema = {"required": source["required"]} if source.get("required") else {}
    return result | {
        "properties": {name: _inlined(part, definitions, defaults) for name, part in source["properties"].items()}
    }


def _present(default: Any) -> Any:
    """A default without the fields that are None."""
    if not isinstance(default, dict):
        return default
    return {name: _present(value) for name, value in default.items() if value is not None}


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """What a reference refers to, with what is said beside the reference in front."""
    if "$ref" not in schema:
        return schema
    return definitions[schema["$ref"].rpartition("/")[2]] | {k: v for k, v in schema.items() if k != "$ref"}


def _without_none(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The one type that a field may have beside None."""
    if "anyOf" not in schema:
        return schema
    (only,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
    return _resolved(only, definitions) | {k: v for k, v in schema.items() if k != "anyOf"}
