"""Writes the chart's README from the comments in values.yaml.

`make generate` runs it. The comment right above a value explains it. A map is one value if it has a comment and its
first key has none; otherwise each of its keys is a value.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts" / "sdbench"
README = CHART / "README.md"

HEAD = """\
<!-- Generated from values.yaml by `make generate` (docs/values.py); do not edit. -->

# The sdbench chart

Installs the operator that benchmarks Stable Diffusion training on Kubernetes, with its CRD and its rights. Optional:
monitoring (PodMonitors, ServiceMonitor, PrometheusRule, Grafana dashboards), restrictions (NetworkPolicies,
ValidatingAdmissionPolicies), and Kueue queues.

The chart needs Kubernetes 1.30, Helm 4 and the Kubeflow training-operator 1.9.

```
helm install sdbench charts/sdbench --namespace sdbench-system --create-namespace --wait
helm test sdbench --namespace sdbench-system
```

[docs/install.md](../../docs/install.md) describes the installation. Helm refuses a misspelt value or one of the wrong
type, and names its path. It also refuses a switch for an API that the cluster does not serve.

## Values

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True)
class Value:
    """A row of the table."""

    path: str
    default: Any
    meaning: str


def values(text: str) -> tuple[Value, ...]:
    """Every value of a values.yaml, in its order."""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return tuple(_below(root, yaml.safe_load(text), text.splitlines(), ()))


def _below(node: yaml.MappingNode, content: dict[str, Any], lines: list[str], path: tuple[str, ...]) -> Iterator[Value]:
    for key, value in node.value:
        here = (*path, key.value)
        meaning = _comment(lines, key.start_mark.line)
        # A flow mapping such as {cpu: 50m} and an empty one have no commented keys.
        block = isinstance(value, yaml.MappingNode) and not value.flow_style and bool(value.value)
        explained_inside = block and bool(_comment(lines, value.value[0][0].start_mark.line))
        if isinstance(value, yaml.MappingNode) and (not meaning or explained_inside):
            yield from _below(value, content[key.value], lines, here)
        else:
            yield Value(".".join(here), content[key.value], meaning)


def _comment(lines: list[str], line: int) -> str:
    """The comment that ends right above this line."""
    start = line
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(each.strip().lstrip("# ") for each in lines[start:line])


def row(value: Value) -> str:
    """A line of the table."""
    default = json.dumps(value.default, ensure_ascii=False)
    cells = (f"`{value.path}`", f"`{default}`", value.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def page(text: str) -> str:
    """The README for this values.yaml."""
    return HEAD + "".join(row(value) for value in values(text))


if __name__ == "__main__":
    README.write_text(page((CHART / "values.yaml").read_text()))
