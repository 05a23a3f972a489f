"""Reads Benchmarks from YAML or JSON as strictly as the API server, with errors as kubectl words them."""

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
    """A file that holds no valid Benchmark; `problems` has a sentence for each problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Contents:
    """The Benchmarks in a file, and the kinds of its other documents."""

    benchmarks: tuple[Benchmark, ...]
    other_kinds: tuple[str, ...]


class _StrictLoader(yaml.SafeLoader):
    """A loader that rejects a field that is written twice, where YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f'the field "{key}" is written twice; delete one'
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def contents(path: Path) -> Contents:
    """Everything in a file. Raises InvalidFile with all problems of all documents."""
    benchmarks: list[Benchmark] = []
    other_kinds: list[str] = []
    problems: list[str] = []
    for document in _documents(path):
        if not isinstance(document, dict):
            problems.append("a document is not a mapping; give it the fields apiVersion, kind, metadata and spec")
        elif document.get("kind") != KIND:
            other_kinds.append(str(document.get("kind", "document without kind")))
        else:
            try:
                benchmarks.append(_benchmark(document))
            except InvalidFile as error:
                problems.extend(error.problems)
    if problems:
        raise InvalidFile(*problems)
    if not benchmarks:
        found = f"holds no {KIND}, only {', '.join(other_kinds)}" if other_kinds else "is empty"
        raise InvalidFile(f"{found}; name a file with a {KIND}")
    return Contents(tuple(benchmarks), tuple(other_kinds))


def only_benchmark(path: Path) -> Benchmark:
    """The one Benchmark in a file. Raises InvalidFile, also if there are several."""
    found = contents(path).benchmarks
    if len(found) > 1:
        names = ", ".join(benchmark.metadata.name for benchmark in found)
        raise InvalidFile(f"holds {len(found)} Benchmarks ({names}), and this command takes one; split the file")
    return found[0]


def stored(benchmark: Benchmark) -> str:
    """A Benchmark with its status as the JSON text that `contents` reads back."""
    document = benchmark.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def field_path(loc: Iterable[int | str]) -> str:
    """The path of a field as kubectl writes it: spec.devices.counts[0]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _documents(path: Path) -> Iterator[Any]:
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_StrictLoader))
    except OSError as error:
        raise InvalidFile(f"cannot be read: {error.strerror}; check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise InvalidFile("is not UTF-8 text; save it in UTF-8") from error
    except yaml.YAMLError as error:
        problem = str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            problem = f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
        raise InvalidFile(f"is not valid YAML: {problem}") from error
    for document in documents:
        # `kubectl get -o yaml` prints several objects as one List.
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or ()
        elif document is not None:
            yield document


def _benchmark(document: dict[str, Any]) -> Benchmark:
    """The Benchmark in a document of its kind. Raises InvalidFile with all problems."""
    problems = []
    if document.get("apiVersion") != API_VERSION:
        problems.append(f"apiVersion: Invalid value: {_shown(document.get('apiVersion'))}: must be {API_VERSION}")
    problems += [f'unknown field "{field}"' for field in document.keys() - ROOT_FIELDS]
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str):
        broken = (rule for rule in NAME if rule.is_broken(name))
        problems += [f"{rule.path}: Invalid value: {_shown(name)}: {rule.message}" for rule in broken]
    try:
        # Strict, as the API server: the text "1" is not an integer. YAML's dates are texts in JSON.
        benchmark = Benchmark.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [_sentence(detail) for detail in details if not _has_error_below(detail["loc"], details)]
        raise InvalidFile(*problems) from None
    if problems:
        raise InvalidFile(*problems)
    return benchmark


def _has_error_below(loc: tuple[int | str, ...], details: Iterable[ErrorDetails]) -> bool:
    """Whether one of the field's children has an error, which the parent's own would only repeat."""
    return any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in details)


def _sentence(detail: ErrorDetails) -> str:
    where, value = field_path(detail["loc"]), detail["input"]
    if detail["type"] == "extra_forbidden":
        return f'unknown field "{where}"'
    if detail["type"] == "missing":
        return f"{where}: Required value"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    # A whole mapping or list would only hide the message.
    shown = "" if isinstance(value, dict | list) else f"{_shown(value)}: "
    return f"{where}: Invalid value: {shown}{message}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
