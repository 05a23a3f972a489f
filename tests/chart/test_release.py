"""Tests that a release can be installed, changed and removed, and that the Benchmarks outlive it.

There is no node, so the operator's pod stays Pending; the tests check only that it was admitted.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.support.releases import BENCHMARK, CRD, Releases
from chart.support.rendering import CHART, NAMESPACE, RELEASE, Helm
from harness.control_plane.components import ControlPlane
from harness.polling import until

OTHER = "other"


def rights(plane: ControlPlane, *expected: str) -> None:
    """Waits until the operator's account may list Benchmarks in exactly these of the two namespaces."""
    may_list = ("auth", "can-i", "list", CRD, "--as", f"system:serviceaccount:{NAMESPACE}:{RELEASE}", "--namespace")

    def found() -> tuple[str, ...]:
        answers = {place: plane.kubectl(*may_list, place, check=False) for place in ("default", "team-a")}
        return tuple(place for place, said in answers.items() if said.strip() == "yes")

    until(lambda: found() == expected, 10, f"rights in {expected}")


@pytest.fixture
def benchmark(plane: ControlPlane, releases: Releases) -> Iterator[str]:
    """The UID of a Benchmark that was created under a release that is now uninstalled."""
    releases.install({})
    plane.kubectl("apply", "-f", "-", input=json.dumps(BENCHMARK))
    uid = benchmark_uid(plane)
    releases.uninstall()
    yield uid
    plane.kubectl("delete", "sdb", "kept")


def benchmark_uid(plane: ControlPlane) -> str:
    """The UID of the Benchmark now."""
    return plane.kubectl("get", "sdb", "kept", "--output=jsonpath={.metadata.uid}")


@pytest.fixture
def changed_chart(tmp_path: Path) -> Path:
    """The chart of a version with another CRD."""
    chart = Path(shutil.copytree(CHART, tmp_path / "sdbench"))
    definition = chart / "files" / "crd.yaml"
    definition.write_text(definition.read_text().replace("categories:\n", "categories:\n    - newer\n", 1))
    assert "newer" in definition.read_text()
    return chart


@pytest.fixture
def no_crd(plane: ControlPlane, releases: Releases) -> Iterator[None]:
    """Leaves the cluster without the CRD, before and after a test."""
    _delete_crd(plane)
    yield
    _delete_crd(plane)


def _delete_crd(plane: ControlPlane) -> None:
    plane.kubectl("delete", "crd", CRD, "--ignore-not-found", "--wait")


def test_a_namespace_with_restricted_pod_security_admits_the_operator(plane: ControlPlane, releases: Releases) -> None:
    releases.install({})
    until(lambda: plane.kubectl("get", "pods", "--namespace", NAMESPACE, "--output=name"), 30, "the operator's pod")


@pytest.fixture
def tenant(plane: ControlPlane) -> Iterator[Path]:
    """The kubeconfig of a user with all rights in two namespaces and none elsewhere."""
    plane.kubectl("create", "serviceaccount", "tenant", "--namespace", NAMESPACE)
    account = f"{NAMESPACE}:tenant"
    bound = ("tenant", "--clusterrole=cluster-admin", f"--serviceaccount={account}")
    for namespace in (NAMESPACE, "team-a"):
        plane.kubectl("create", "rolebinding", *bound, "--namespace", namespace)
    yield plane.service_account_kubeconfig(NAMESPACE, "tenant")
    for namespace in (NAMESPACE, "team-a"):
        plane.kubectl("delete", "rolebinding", "tenant", "--namespace", namespace)
    plane.kubectl("delete", "serviceaccount", "tenant", "--namespace", NAMESPACE)


def test_a_user_with_rights_in_the_namespaces_only_can_install(
    helm: Helm, plane: ControlPlane, releases: Releases, tenant: Path
) -> None:
    releases.install({})
    releases.uninstall()
    theirs = {"watchNamespaces": ["team-a"], "crds": {"enabled": False}}
    assert "the namespaces team-a." in Releases(helm, plane, tenant).install(theirs)


def test_an_uninstall_removes_everything_except_the_benchmarks(plane: ControlPlane, benchmark: str) -> None:
    kinds = "all,serviceaccounts,roles,configmaps,networkpolicies"
    assert plane.kubectl("get", kinds, "--namespace", NAMESPACE, "--selector=helm.sh/chart") == ""
    assert plane.kubectl("get", "clusterroles,clusterrolebindings", "--selector=helm.sh/chart") == ""
    assert benchmark_uid(plane) == benchmark


@pytest.mark.parametrize("name", [RELEASE, OTHER])
def test_a_later_release_of_any_name_keeps_the_benchmarks(
    plane: ControlPlane, releases: Releases, benchmark: str, name: str
) -> None:
    releases.install({}, name)
    assert benchmark_uid(plane) == benchmark
    releases.uninstall(name)
    assert benchmark_uid(plane) == benchmark


def test_an_identical_crd_stays_with_its_release_and_the_notes_say_so(
    plane: ControlPlane, releases: Releases, no_crd: None
) -> None:
    sentence = f"belong to the release {RELEASE} in {NAMESPACE}"
    assert sentence not in releases.install({"watchNamespaces": ["team-a"]})
    assert sentence in releases.install({"watchNamespaces": ["team-b"]}, OTHER)
    assert sentence not in releases.upgrade()
    assert sentence in releases.upgrade(name=OTHER)
    releases.rollback(1, OTHER)
    assert releases.owner() == RELEASE
    releases.uninstall(OTHER)
    assert releases.owner() == RELEASE


def test_a_different_crd_is_taken_over_only_on_request(
    plane: ControlPlane, releases: Releases, changed_chart: Path, no_crd: None
) -> None:
    releases.install({"watchNamespaces": ["team-a"]})
    plane.kubectl("apply", "-f", "-", input=json.dumps(BENCHMARK))
    uid = benchmark_uid(plane)
    refused = releases("install", OTHER, str(changed_chart), values={"watchNamespaces": ["team-b"]})
    assert refused.returncode != 0
    assert CRD in refused.stderr
    assert "ownership" in refused.stderr
    releases.install({"watchNamespaces": ["team-b"]}, OTHER, "--take-ownership", chart=changed_chart)
    assert releases.owner() == OTHER
    # The CRD belongs to another release now, so an upgrade of the first one leaves it out, which must not delete it.
    releases.upgrade(chart=changed_chart)
    assert benchmark_uid(plane) == uid
    releases.uninstall()
    assert (releases.owner(), benchmark_uid(plane)) == (OTHER, uid)


def test_a_crd_without_the_keep_policy_is_not_shared(releases: Releases, no_crd: None) -> None:
    releases.install({"crds": {"keep": False}})
    refused = releases("install", OTHER, str(CHART))
    assert refused.returncode != 0
    assert "ownership" in refused.stderr


def test_a_crd_without_the_keep_policy_is_deleted_with_its_release(
    plane: ControlPlane, releases: Releases, no_crd: None
) -> None:
    releases.install({"crds": {"keep": False}})
    releases.uninstall()
    until(lambda: not plane.kubectl("get", "crd", CRD, "--ignore-not-found", "--output=name"), 30, "no CRD")


def test_with_watched_namespaces_the_operator_has_rights_only_there(plane: ControlPlane, releases: Releases) -> None:
    releases.install({"watchNamespaces": ["team-a"]})
    rights(plane, "team-a")


def test_an_upgrade_changes_only_the_given_values_and_a_rollback_undoes_it(
    plane: ControlPlane, releases: Releases
) -> None:
    releases.install({"resources": {"limits": {"memory": "1Gi"}}})
    rights(plane, "default", "team-a")
    releases.upgrade("--set", "watchNamespaces={team-a}")
    rights(plane, "team-a")
    path = "{.spec.template.spec.containers[0].resources.limits.memory}"
    shown = plane.kubectl("get", "deployment", RELEASE, "--namespace", NAMESPACE, f"--output=jsonpath={path}")
    assert shown == "1Gi"
    releases.rollback(1)
    rights(plane, "default", "team-a")


def test_podmonitors_are_refused_in_a_cluster_that_does_not_serve_them(releases: Releases) -> None:
    done = releases("install", RELEASE, str(CHART), values={"monitoring": {"podMonitor": {"enabled": True}}})
    assert done.returncode != 0
    assert (
        "monitoring.podMonitor.enabled: this cluster does not serve monitoring.coreos.com/v1/PodMonitor" in done.stderr
    )
