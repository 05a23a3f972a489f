"""Reads Benchmarks from YAML or JSON, with errors as kubectl words them.

The same strictness as the API server's: unknown and repeated fields, wrong types and values out of bounds are
refused, each with the path of its field.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sdbench.api.benchmark import Benchmark
from sdbench.api.crd.rules import NAME
from sdbench.api.names import API_VERSION, KIND

ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


class InvalidFile(Exception):
    """A file that asks nothing that can be answered; a sentence for each problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Contents:
    """What a file holds: Benchmarks, and the kinds of the documents that are none."""

    benchmarks: tuple[Benchmark, ...]
    others: tuple[str, ...]


class _StrictLoader(yaml.SafeLoader):
    """Refuses a field that is written twice: YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the field "{key}" is written twice', key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def contents(path: Path) -> Contents:
    """Everything in a file. Raises InvalidFile, with all problems of all documents."""
    benchmarks: list[Benchmark] = []
    others: list[str] = []
    problems: list[str] = []
    for document in _documents(path):
        if not isinstance(document, dict):
            problems.append("a document is no mapping: it begins with apiVersion, kind, metadata and spec")
        elif document.get("kind") != KIND:
            others.append(str(document.get("kind", "document without kind")))
        else:
            found = list(_problems(document))
            problems.extend(found)
            if not found:
                benchmarks.append(_benchmark(document))
    if problems:
        raise InvalidFile(*problems)
    if not benchmarks:
        raise InvalidFile(f"it holds no {KIND}" + (f", but {', '.join(others)}" if others else ""))
    return Contents(tuple(benchmarks), tuple(others))


def only_benchmark(path: Path) -> Benchmark:
    """The one Benchmark in a file. Raises InvalidFile, also when there are several."""
    found = contents(path).benchmarks
    if len(found) > 1:
        names = ", ".join(benchmark.metadata.name for benchmark in found)
        raise InvalidFile(f"it holds {len(found)} Benchmarks ({names}), and this command takes one: split the file")
    return found[0]


def stored(benchmark: Benchmark) -> str:
    """A Benchmark with its status as the JSON document that `contents` reads again."""
    document = benchmark.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _documents(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, Loader=_StrictLoader))
    except OSError as error:
        raise InvalidFile(f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidFile("it is no text in UTF-8") from error
    except yaml.YAMLError as error:
        raise InvalidFile(f"it is no YAML: {_yaml_problem(error)}") from error
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or ()
        elif document is not None:
            yield document


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return str(error)


def _problems(document: dict[str, Any]) -> Iterator[str]:
    if document.get("apiVersion") != API_VERSION:
        yield f"apiVersion: Invalid value: {_shown(document.get('apiVersion'))}: it is {API_VERSION}"
    for field in document.keys() - ROOT_FIELDS:
        yield f'unknown field "{field}"'
    name = _name(document)
    if isinstance(name, str):
        yield from (
            f"{rule.path}: Invalid value: {_shown(name)}: {rule.message}" for rule in NAME if rule.is_broken(name)
        )
    yield from _field_problems(document)


def _name(document: dict[str, Any]) -> Any:
    metadata = document.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _benchmark(document: dict[str, Any]) -> Benchmark:
    """Strictly, as the API server would: the text "1" is no integer."""
    return Benchmark.model_validate_json(json.dumps(document, default=str), strict=True)


def _field_problems(document: dict[str, Any]) -> Iterator[str]:
    try:
        _benchmark(document)
    except ValidationError as error:
        yield from (_sentence(detail) for detail in _causes(error.errors(include_url=False)))


def _causes(details: Iterable[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without the complaints about a whole whose part is wrong already."""
    everything = list(details)
    for detail in everything:
        loc = detail["loc"]
        inner = any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in everything)
        if not inner:
            yield detail


def _sentence(detail: ErrorDetails) -> str:
    where, wrong = field_path(detail["loc"]), detail["input"]
    if detail["type"] == "extra_forbidden":
        return f'unknown field "{where}"'
    if detail["type"] == "missing":
        return f"{where}: Required value"
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(wrong, dict | list):
        return f"{where}: Invalid value: {said}"
    return f"{where}: Invalid value: {_shown(wrong)}: {said}"


def field_path(loc: Iterable[int | str]) -> str:
    """The path of a field as kubectl writes it: spec.devices.counts[0]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
