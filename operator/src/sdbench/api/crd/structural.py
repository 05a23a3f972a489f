"""Turns a pydantic type into a structural schema, as the Kubernetes API requires it.

Types are inlined in place of $ref. A field that may be None is just not required, which avoids anyOf.
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
    source = _resolved(schema, definitions)
    result: Schema = {key: source[key] for key in KEPT if key in source}
    for bound, edge in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in source:
            result |= {edge: source[bound], bound: True}
    if defaults and source.get("default") is not None:
        # The API server judges the default of an object by the rules before it fills in those of its parts, so the
        # default is written out.
        result["default"] = _without_none(source["default"])
    if "items" in source:
        result["x-kubernetes-list-type"] = "atomic"
        result["items"] = _inlined(source["items"], definitions, defaults)
    # No keyword constrains the keys of a map. That takes a rule in CEL, so a pattern of keys is dropped.
    for values in (source.get("additionalProperties"), *source.get("patternProperties", {}).values()):
        if isinstance(values, dict):
            result["additionalProperties"] = _inlined(values, definitions, defaults)
    if "properties" in source:
        result |= {"required": source["required"]} if source.get("required") else {}
        result["properties"] = {
            name: _inlined(part, definitions, defaults) for name, part in source["properties"].items()
        }
    return result


def _without_none(default: Any) -> Any:
    if not isinstance(default, dict):
        return default
    return {name: _without_none(value) for name, value in default.items() if value is not None}


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema with its reference and its alternative to None replaced by what they stand for."""
    for keyword in ("$ref", "anyOf"):
        if keyword not in schema:
            continue
        if keyword == "$ref":
            found = definitions[schema["$ref"].rpartition("/")[2]]
        else:
            (only,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
            found = _resolved(only, definitions)
        # What stands beside the keyword, such as a description, is about this field.
        schema = found | {key: value for key, value in schema.items() if key != keyword}
    return schema
