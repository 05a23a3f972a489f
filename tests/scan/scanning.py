"""Runs the scanner once over the Dockerfiles, the rendered chart and training pods."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chart.support.rendering import Helm, of_kind
from chart.support.value_sets import VALUE_SETS
from harness.tools import binary
from isolated_tools import program

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "unit" / "controller" / "golden"
SERVED = ("monitoring.coreos.com/v1", "kueue.x-k8s.io/v1beta1", "kueue.x-k8s.io/v1beta2")
KINDS = ("PodMonitor", "ServiceMonitor", "PrometheusRule", "LocalQueue", "ClusterQueue", "ResourceFlavor")
"""Optional API kinds that the rendered cluster serves; parts of the chart refuse to render without them."""

Manifest = dict[str, Any]
PLANTED: Manifest = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "planted", "namespace": "planted"},
    "spec": {"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": True}}]},
}


@dataclass(frozen=True)
class Finding:
    """A rule and an object that passes or fails it."""

    check: str
    name: str
    where: str


@dataclass(frozen=True)
class Scan:
    """Every finding: passed (`kept`) or failed (`broken`)."""

    kept: frozenset[Finding]
    broken: frozenset[Finding]


def scan(folder: Path) -> Scan:
    """Writes all inputs to the folder and scans them."""
    # Objects with NetworkPolicies go to a folder of their own: the scanner applies a policy to all namespaces.
    opened, closed = folder / "open", folder / "closed"
    shutil.copytree(ROOT / "docker", opened / "docker")
    closed.mkdir()
    _write(opened / "planted.yaml", [PLANTED])
    _write(opened / "training.yaml", training_pods())
    helm = Helm(binary("helm"))
    for name, values in VALUE_SETS.items():
        namespace = re.sub("[^a-z]+", "-", name.lower())
        objects = helm.render(values, "--namespace", namespace, *_served())
        _write((closed if of_kind(objects, "NetworkPolicy") else opened) / f"{namespace}.yaml", objects)
    return _read(_run(opened, closed))


def training_pods() -> list[Manifest]:
    """The pods of the golden jobs, as the training-operator creates them."""
    jobs = {path.stem: yaml.safe_load(path.read_text()) for path in GOLDEN.glob("*.yaml")}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**replica["template"]["metadata"], "name": f"{name}-{role.lower()}", "namespace": "training"},
            "spec": replica["template"]["spec"] | {"restartPolicy": replica["restartPolicy"]},
        }
        for name, job in jobs.items()
        for role, replica in job["spec"]["pytorchReplicaSpecs"].items()
    ]


def _served() -> list[str]:
    groups = [*SERVED, *(f"{group}/{kind}" for group in SERVED for kind in KINDS)]
    return [f"--api-versions={group}" for group in groups]


def _write(path: Path, objects: Iterable[Manifest]) -> None:
    path.write_text(yaml.safe_dump_all(objects))


def _run(*folders: Path) -> str:
    """The scanner's reports as JSON. It uses no network, and findings do not change its exit code."""
    options = ("--framework", "kubernetes", "dockerfile", "--output", "json", "--skip-download", "--soft-fail")
    filled = [f"--directory={folder}" for folder in folders if any(folder.iterdir())]
    command = [str(program("checks", "checkov")), *filled, *options]
    run = subprocess.run(command, env={**os.environ, "LOG_LEVEL": "ERROR"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _read(report: str) -> Scan:
    parts: list[Manifest] = []
    while report := report.strip():
        part, end = json.JSONDecoder().raw_decode(report)
        parts += part if isinstance(part, list) else [part]
        report = report[end:]
    unread = [error for part in parts for error in part["results"]["parsing_errors"]]
    assert not unread, f"the scanner could not read {unread}"
    return Scan(kept=_findings(parts, "passed_checks"), broken=_findings(parts, "failed_checks"))


def _findings(parts: list[Manifest], kind: str) -> frozenset[Finding]:
    found = [finding for part in parts for finding in part["results"][kind]]
    return frozenset(Finding(one["check_id"], one["check_name"], one["resource"]) for one in found)
