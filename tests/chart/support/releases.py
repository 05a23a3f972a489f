"""Installs, changes and removes releases by `helm` at a real control plane."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chart.support.rendering import CHART, NAMESPACE, RELEASE, Helm
from harness.control_plane.components import ControlPlane

CRD = "stablediffusionbenchmarks.sdbench.dev"
BENCHMARK = {
    "apiVersion": "sdbench.dev/v1alpha1",
    "kind": "StableDiffusionBenchmark",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {
        "devices": {"counts": [1]},
        "trainer": {"model": "tiny", "precision": "fp32", "imageSize": 64, "globalBatchSize": 8},
    },
}

ADMITTED = {"enforce": "restricted", "warn": "restricted"}
"""The namespaces' labels for Pod Security."""


def make_namespaces(plane: ControlPlane) -> None:
    """Creates the operator's namespace and two for Benchmarks; all enforce restricted Pod Security."""
    for name in (NAMESPACE, "team-a", "team-b"):
        plane.kubectl("create", "namespace", name)
        levels = [f"pod-security.kubernetes.io/{mode}={level}" for mode, level in ADMITTED.items()]
        plane.kubectl("label", "namespace", name, *levels)


class Releases:
    """Runs `helm` against a control plane as a person would."""

    def __init__(self, helm: Helm, plane: ControlPlane, kubeconfig: Path | None = None) -> None:
        self._program, self._plane = helm.program, plane
        version = subprocess.run([str(helm.program), "version"], capture_output=True, text=True, check=True).stdout
        # Helm 4.0.0 fails with "metadata.managedFields must be nil" where it meets a kept CRD (helm/helm#31384).
        self._adopting = ("--server-side=false",) if '"v4.0' in version else ()
        homes = {f"HELM_{home}_HOME": str(plane.folder / "helm" / home) for home in ("CACHE", "CONFIG", "DATA")}
        self._environment = {**os.environ, **homes, "KUBECONFIG": str(kubeconfig or plane.kubeconfig)}

    def __call__(self, *arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """`helm ARGUMENTS --namespace …`; with values, those on its standard input."""
        given = ("--values", "-") if values is not None else ()
        return subprocess.run(
            [str(self._program), *arguments, "--namespace", NAMESPACE, *given],
            input=json.dumps(values or {}),
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def install(self, values: Mapping[str, Any], name: str = RELEASE, *options: str, chart: Path = CHART) -> str:
        """Installs a release, which must succeed; returns the notes."""
        done = self("install", name, str(chart), *self._adopting, *options, values=values)
        assert done.returncode == 0, done.stderr
        self._plane.kubectl("wait", "crd", CRD, "--for=condition=Established", "--timeout=30s")
        return done.stdout

    def upgrade(self, *options: str, name: str = RELEASE, chart: Path = CHART) -> str:
        """Upgrades with its present values and these options, which must succeed; returns the notes."""
        done = self("upgrade", name, str(chart), "--reset-then-reuse-values", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rollback(self, revision: int, name: str = RELEASE) -> None:
        done = self("rollback", name, str(revision))
        assert done.returncode == 0, done.stderr

    def uninstall(self, name: str = RELEASE) -> None:
        done = self("uninstall", name, "--wait")
        assert done.returncode == 0, done.stderr

    def owner(self) -> str:
        """The release to which the CRD belongs, for Helm."""
        path = r"{.metadata.annotations.meta\.helm\.sh/release-name}"
        return self._plane.kubectl("get", "crd", CRD, f"--output=jsonpath={path}")
