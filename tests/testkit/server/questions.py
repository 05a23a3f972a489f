"""Builds the Benchmarks of the API tests: the example, with parts of its spec replaced."""

from collections.abc import Callable
from typing import Any

import yaml

from testkit.operators.operator_process import ROOT

EXAMPLE = ROOT / "crds/examples/tiny.yaml"

Asked = Callable[..., dict[str, Any]]
"""Applies a question in the test's namespace: its name, and what is replaced in its spec."""


def question(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    """The example as a document, under this name and with these parts of its spec replaced; no failed job is kept."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = name
    document["spec"] |= {"data": {}, "retention": {"failedSeconds": 0}} | spec
    return document
