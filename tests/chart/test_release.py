"""Can a release be installed, changed and taken away on a real API server, and do the Benchmarks outlive it?

No node is there, so the operator's pod stays Pending; that it was admitted is what is seen.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from chart.rendering import CHART, NAMESPACE, RELEASE, Helm
from cluster.harness.control_plane import ControlPlane
from cluster.harness.polling import until

CRD = "stablediffusionbenchmarks.sdbench.dev"
QUESTION = {
    "apiVersion": "sdbench.dev/v1alpha1",
    "kind": "StableDiffusionBenchmark",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {
        "devices": {"counts": [1]},
        "trainer": {"model": "tiny", "precision": "fp32", "imageSize": 64, "globalBatchSize": 8},
    },
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane with a namespace that enforces restricted Pod Security, and one to be watched."""
    with ControlPlane() as started:
        started.kubectl("create", "namespace", NAMESPACE)
        started.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        started.kubectl("create", "namespace", "team-a")
        yield started


class Releases:
    """`helm` as a person at that control plane uses it."""

    def __init__(self, helm: Helm, plane: ControlPlane) -> None:
        self._program, self._plane = helm.program, plane
        version = subprocess.run([str(helm.program), "version"], capture_output=True, text=True, check=True).stdout
        # Helm 4.0.0 fails with "metadata.managedFields must be nil" where it meets a kept CRD (helm/helm#31384).
        self._adopting = ("--server-side=false",) if '"v4.0' in version else ()
        homes = {f"HELM_{home}_HOME": str(plane.folder / "helm" / home) for home in ("CACHE", "CONFIG", "DATA")}
        self._environment = {**os.environ, **homes, "KUBECONFIG": str(plane.kubeconfig)}

    def __call__(self, *arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """`helm ARGUMENTS --namespace …`; with values, those on its standard input."""
        given = ("--values", "-") if values is not None else ()
        return subprocess.run(
            [str(self._program), *arguments, "--namespace", NAMESPACE, *given],
            input=json.dumps(values or {}),
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def install(self, values: dict[str, Any]) -> None:
        done = self("install", RELEASE, str(CHART), *self._adopting, values=values)
        assert done.returncode == 0, done.stderr
        self._plane.kubectl("wait", "crd", CRD, "--for=condition=Established", "--timeout=30s")

    def take_over(self, name: str) -> None:
        """Install under this name, whosever the CRD was."""
        done = self("install", name, str(CHART), "--take-ownership", *self._adopting)
        assert done.returncode == 0, done.stderr

    def uninstall(self, name: str = RELEASE) -> None:
        done = self("uninstall", name, "--wait")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def releases(helm: Helm, plane: ControlPlane) -> Iterator[Releases]:
    """Helm, and no release left of what a test installed."""
    helm_there = Releases(helm, plane)
    yield helm_there
    helm_there("uninstall", RELEASE, "--ignore-not-found", "--wait")


def rights(plane: ControlPlane, *expected: str) -> None:
    """Wait until these of the two namespaces are where the operator's account may list Benchmarks."""

    def found() -> tuple[str, ...]:
        return tuple(namespace for namespace in ("default", "team-a") if _may_list(plane, namespace))

    until(lambda: found() == expected, 10, f"rights in {expected}")


def _may_list(plane: ControlPlane, namespace: str) -> bool:
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    said = plane.kubectl("auth", "can-i", "list", CRD, "--namespace", namespace, "--as", account, check=False)
    return said.strip() == "yes"


def test_a_namespace_with_restricted_pod_security_admits_the_operator(plane: ControlPlane, releases: Releases) -> None:
    releases.install({})
    until(lambda: plane.kubectl("get", "pods", "--namespace", NAMESPACE, "--output=name"), 30, "the operator's pod")


def test_benchmarks_outlive_the_release_and_meet_the_next_one(plane: ControlPlane, releases: Releases) -> None:
    releases.install({})
    plane.kubectl("apply", "-f", "-", input=json.dumps(QUESTION))
    uid = plane.kubectl("get", "sdb", "kept", "--output=jsonpath={.metadata.uid}")
    releases.uninstall()
    left = plane.kubectl("get", "all,serviceaccounts,roles", "--namespace", NAMESPACE, "--selector=helm.sh/chart")
    assert left == ""
    assert plane.kubectl("get", "sdb", "kept", "--output=jsonpath={.metadata.uid}") == uid
    releases.install({})
    assert plane.kubectl("get", "sdb", "kept", "--output=jsonpath={.metadata.uid}") == uid
    plane.kubectl("delete", "sdb", "kept")


def test_another_release_takes_the_crd_over_only_when_told(plane: ControlPlane, releases: Releases) -> None:
    releases.install({})
    releases.uninstall()
    refused = releases("install", "other", str(CHART))
    assert refused.returncode != 0
    assert CRD in refused.stderr
    assert "ownership" in refused.stderr
    releases.take_over("other")
    releases.uninstall("other")
    releases.take_over(RELEASE)


def test_in_watched_namespaces_only_the_operator_has_rights_there_only(plane: ControlPlane, releases: Releases) -> None:
    releases.install({"watchNamespaces": ["team-a"]})
    rights(plane, "team-a")


def test_an_upgrade_changes_what_was_asked_and_what_was_not_stays(plane: ControlPlane, releases: Releases) -> None:
    releases.install({"resources": {"limits": {"memory": "1Gi"}}})
    rights(plane, "default", "team-a")
    done = releases("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", "--set", "watchNamespaces={team-a}")
    assert done.returncode == 0, done.stderr
    rights(plane, "team-a")
    path = "{.spec.template.spec.containers[0].resources.limits.memory}"
    shown = plane.kubectl("get", "deployment", RELEASE, "--namespace", NAMESPACE, f"--output=jsonpath={path}")
    assert shown == "1Gi"


def test_podmonitors_in_a_cluster_that_does_not_know_them_are_refused_by_name(releases: Releases) -> None:
    done = releases("install", RELEASE, str(CHART), values={"monitoring": {"podMonitor": {"enabled": True}}})
    assert done.returncode != 0
    assert "PodMonitor" in done.stderr
