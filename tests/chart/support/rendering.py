"""Renders the chart with values, and returns the objects or the error."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[3] / "charts" / "sdbench"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RELEASE = "sdbench"
NAMESPACE = "sdbench-system"
KUBERNETES = "1.35.4"
"""Helm 4.0.0 renders for Kubernetes 1.20 if it sees no cluster."""

SERVED = (
    *("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/ServiceMonitor"),
    *("monitoring.coreos.com/v1/PrometheusRule", "kueue.x-k8s.io/v1beta1/LocalQueue"),
    "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy",
)
"""APIs that the chart can use and that not every cluster serves."""

Values = Mapping[str, Any]
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """The helm program, pointed at our chart."""

    program: Path
    chart: Path = CHART
    served: tuple[str, ...] = SERVED
    """APIs of the cluster to render for, beside Kubernetes' own."""

    def run(self, *arguments: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
        """`helm ARGUMENTS`, with these values on its standard input."""
        command = [str(self.program), *arguments, "--values", "-", "--kube-version", KUBERNETES]
        return subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True)

    def lint(self, values: Values) -> subprocess.CompletedProcess[str]:
        """What `helm lint --strict` finds."""
        return self.run("lint", "--strict", str(self.chart), values=values)

    def template(self, values: Values | None, *options: str) -> subprocess.CompletedProcess[str]:
        """`helm template` under the tests' release and namespace."""
        known = [f"--api-versions={api}" for api in self.served]
        given = ("template", RELEASE, str(self.chart), "--namespace", NAMESPACE, *known, *options)
        return self.run(*given, values=values)

    def render(self, values: Values | None = None, *options: str) -> tuple[Manifest, ...]:
        """The objects that an installation with these values would apply, and those of `helm test`."""
        return tuple(document for document in yaml.load_all(self.text(values, *options), LOADER) if document)

    def text(self, values: Values | None = None, *options: str) -> str:
        """The rendered objects as YAML."""
        return _text(self, json.dumps(values or {}), options)

    def refusal(self, values: Values) -> str:
        """Helm's message for values that it refuses."""
        done = self.template(values)
        assert done.returncode != 0, f"the chart took {values}"
        return done.stderr


@cache
def _text(helm: Helm, values: str, options: tuple[str, ...]) -> str:
    """Renders once for each set of values, which many tests share."""
    done = helm.template(json.loads(values), *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(objects: tuple[Manifest, ...], *kinds: str) -> tuple[Manifest, ...]:
    """The objects of these kinds, in order."""
    return tuple(value for value in objects if value["kind"] in kinds)


def the(objects: tuple[Manifest, ...], kind: str) -> Manifest:
    """The only object of this kind."""
    found = of_kind(objects, kind)
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def pod_spec(objects: tuple[Manifest, ...]) -> Manifest:
    """The pod of the operator's Deployment."""
    spec: Manifest = the(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def chart_file(name: str) -> str:
    """The text of a file of the chart."""
    return (CHART / name).read_text()
