"""Builds the Benchmarks of the API tests: the example, with parts of its spec replaced."""

from collections.abc import Callable
from typing import Any

import yaml

from testkit.operators.operator_process import ROOT

EXAMPLE = ROOT / "crds/examples/tiny.yaml"

CreateBenchmark = Callable[..., dict[str, Any]]
"""The fixture `asked`: applies a Benchmark with this name and parts of its spec replaced, and returns it."""


def example_benchmark(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    """The example's document with this name and parts of its spec replaced; failed jobs are deleted at once."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = name
    document["spec"] |= {"data": {}, "retention": {"failedSeconds": 0}} | spec
    return document
