"""Tests the rights of people and of the operator at a real API server.

People have the cluster's roles view, edit and admin, or the chart's Roles in watched namespaces. The real
controller-manager aggregates the cluster's roles. The operator has its own service account.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config

from chart.support.releases import Releases
from chart.support.rendering import NAMESPACE, RELEASE, Helm
from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench.api.names import GROUP, PLURAL
from sdbench.controller.apiserver.rbac import rights
from sdbench.controller.apiserver.requests import Right

STATUS = f"{PLURAL}/status"
VIEW = tuple((resource, verb) for resource in (PLURAL, STATUS) for verb in ("get", "list", "watch"))
EDIT = tuple((PLURAL, verb) for verb in ("create", "update", "patch", "delete", "deletecollection"))
NOBODY = ((STATUS, "update"), (STATUS, "patch"), (f"{PLURAL}/finalizers", "update"))
MAY = {"view": VIEW, "edit": (*VIEW, *EDIT), "admin": (*VIEW, *EDIT)}


class Reviews:
    """The API server's answers to who may do what."""

    def __init__(self, plane: ControlPlane) -> None:
        api = config.new_client_from_config(str(plane.kubeconfig))
        self._authorization = client.AuthorizationV1Api(api)

    def allows(self, user: str, right: Right, namespace: str) -> bool:
        """Whether the user has that right there; without a namespace, in the whole cluster."""
        resource, _, subresource = right.resource.partition("/")
        place = {"namespace": namespace, "group": right.group, "resource": resource, "subresource": subresource}
        groups = ["system:authenticated"]
        if user.startswith("system:serviceaccount:"):
            groups += ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}"]
        spec = {"user": user, "resourceAttributes": place | {"verb": right.verb}, "groups": groups}
        return bool(self._authorization.create_subject_access_review({"spec": spec}).status.allowed)

    def ours(self, user: str, namespace: str) -> set[tuple[str, str]]:
        """The user's rights on Benchmarks there."""
        asked = (*VIEW, *EDIT, *NOBODY)
        return {one for one in asked if self.allows(user, Right(GROUP, *one), namespace)}


@pytest.fixture
def reviews(plane: ControlPlane, releases: Releases) -> Reviews:
    return Reviews(plane)


def bind(plane: ControlPlane, user: str, kind: str, role: str) -> None:
    """Binds the role to the user in team-a."""
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": user, "namespace": "team-a"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    }
    plane.kubectl("apply", "-f", "-", input=json.dumps(binding))


@pytest.fixture(scope="module")
def people(plane: ControlPlane) -> Iterator[None]:
    """One user for each of the cluster's roles, in team-a."""
    for role in MAY:
        bind(plane, f"{role}er", "ClusterRole", role)
    yield
    for role in MAY:
        plane.kubectl("delete", "rolebinding", f"{role}er", "--namespace", "team-a")


def test_the_clusters_roles_allow_benchmarks_but_never_their_status(
    releases: Releases, reviews: Reviews, people: None
) -> None:
    releases.install({})
    for role in MAY:
        _has(reviews, f"{role}er", role)
        assert reviews.ours(f"{role}er", "team-b") == set()
    releases.upgrade("--set", "rbac.people=false")
    until(lambda: not reviews.ours("adminer", "team-a"), 30, "the rights to be revoked")


@pytest.mark.parametrize("role", ["view", "edit"])
def test_watched_namespaces_have_roles_to_bind(
    plane: ControlPlane, releases: Releases, reviews: Reviews, role: str
) -> None:
    releases.install({"watchNamespaces": ["team-a"]})
    bind(plane, "bound", "Role", f"{RELEASE}-{role}")
    _has(reviews, "bound", role)
    assert reviews.ours("bound", "team-b") == set()
    plane.kubectl("delete", "rolebinding", "bound", "--namespace", "team-a")


def _has(reviews: Reviews, user: str, role: str) -> None:
    """Waits until the user has exactly the rights of the role in team-a."""
    until(lambda: reviews.ours(user, "team-a") == set(MAY[role]), 30, f"{user} to have the rights of {role}")


OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
CLUSTER = ""
ALL = rights()


def allowed(reviews: Reviews, namespace: str) -> list[Right]:
    """The rights of the operator's account there, of all that an operator may need."""
    return [right for right in ALL if reviews.allows(OPERATOR, right, namespace)]


def test_with_watched_namespaces_the_operator_has_no_other_rights(releases: Releases, reviews: Reviews) -> None:
    releases.install({"watchNamespaces": ["team-a"]})
    until(lambda: allowed(reviews, "team-a") == list(ALL), 30, "the rights in team-a")
    for namespace in ("team-b", "default", "kube-system", NAMESPACE, CLUSTER):
        assert allowed(reviews, namespace) == [], namespace


def test_without_watched_namespaces_the_operator_has_rights_everywhere(releases: Releases, reviews: Reviews) -> None:
    releases.install({})
    until(lambda: allowed(reviews, CLUSTER) == list(ALL), 30, "the rights in the cluster")
    assert allowed(reviews, "team-b") == list(ALL)


def test_with_watched_namespaces_no_cluster_role_is_created(helm: Helm) -> None:
    values: dict[str, Any] = {"watchNamespaces": ["team-a", "team-b"], "test": {"benchmark": True}}
    made = {one["kind"] for one in helm.render(values | {"networkPolicy": {"enabled": True}})}
    assert not [kind for kind in made if kind.startswith("Cluster")]
