"""Tests that the chart renders valid objects for every set of values."""

import json
from typing import Any

import pytest
import yaml

from chart.support.rendering import NAMESPACE, Helm, chart_file, of_kind, pod_spec, the
from chart.support.value_sets import VALUE_SETS

EVERY_WAY = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
NAMESPACES = {"watchNamespaces": ["team-a", "team-b"]}


@EVERY_WAY
def test_lint_finds_nothing(helm: Helm, values: dict[str, Any]) -> None:
    done = helm.lint(values)
    assert done.returncode == 0, done.stdout + done.stderr


@EVERY_WAY
def test_every_container_passes_restricted_pod_security(helm: Helm, values: dict[str, Any]) -> None:
    objects = helm.render(values)
    for pod in (pod_spec(objects), the(objects, "Pod")["spec"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert all(set(volume) <= {"name", "emptyDir", "configMap"} for volume in pod.get("volumes", []))
        for container in pod.get("initContainers", []) + pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["runAsNonRoot"] is True
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert context["readOnlyRootFilesystem"] is True


@EVERY_WAY
def test_the_selector_matches_the_pod_and_one_operator_runs_at_a_time(helm: Helm, values: dict[str, Any]) -> None:
    spec = the(helm.render(values), "Deployment")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert labels["app.kubernetes.io/name"] == "sdbench"
    assert labels["app.kubernetes.io/component"] == "operator"
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@EVERY_WAY
def test_no_two_objects_have_one_name(helm: Helm, values: dict[str, Any]) -> None:
    objects = helm.render(values)
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))


def test_the_operator_gets_the_trainer_image_the_port_and_the_namespaces(helm: Helm) -> None:
    (container,) = pod_spec(helm.render(NAMESPACES))["containers"]
    assert container["command"] == ["sdbench"]
    assert container["args"] == [
        *("operator", "--default-image", "ghcr.io/sdbench/trainer:0.1.0", "--port", "8080"),
        *("--namespace", "team-a", "--namespace", "team-b"),
    ]
    assert container["ports"] == [{"name": "metrics", "containerPort": 8080, "protocol": "TCP"}]
    for probe in (container["startupProbe"], container["livenessProbe"], container["readinessProbe"]):
        assert probe["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["livenessProbe"]["periodSeconds"] >= 10


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "ghcr.io/sdbench/operator:0.1.0"),
        ({"repository": "registry.example:5000/a/b", "tag": "dev"}, "registry.example:5000/a/b:dev"),
        ({"tag": "dev", "digest": "sha256:" + 64 * "a"}, "ghcr.io/sdbench/operator@sha256:" + 64 * "a"),
    ],
)
def test_an_image_has_its_digest_or_its_tag_or_the_charts_version(
    helm: Helm, image: dict[str, str], reference: str
) -> None:
    (container,) = pod_spec(helm.render({"image": image, "trainer": {"image": image}}))["containers"]
    assert container["image"] == reference
    assert container["args"][2] == reference.replace("sdbench/operator", "sdbench/trainer")


def test_the_service_selects_the_operator(helm: Helm) -> None:
    objects = helm.render()
    service = the(objects, "Service")["spec"]
    labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert not service["selector"].items() <= the(objects, "Pod")["metadata"]["labels"].items()
    assert service["ports"] == [{"name": "metrics", "port": 8080, "targetPort": "metrics", "protocol": "TCP"}]


def test_the_values_decide_where_the_pod_runs(helm: Helm) -> None:
    values = VALUE_SETS["placed"]
    objects = helm.render(values)
    pod = pod_spec(objects)
    where = ("priorityClassName", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")
    for name in ("imagePullSecrets", *where):
        assert pod[name] == values[name], name
    deployment = the(objects, "Deployment")["spec"]
    assert deployment["revisionHistoryLimit"] == 0
    metadata = deployment["template"]["metadata"]
    assert metadata["labels"]["team"] == "research"
    assert metadata["annotations"]["example.org/note"] == "yes"
    assert the(objects, "Deployment")["metadata"]["name"] == "benchmarks"


def test_the_cluster_role_holds_the_generated_rules_for_the_operators_account(helm: Helm) -> None:
    objects = helm.render({}, "--no-hooks")
    binding = the(objects, "ClusterRoleBinding")
    (role,) = (one for one in of_kind(objects, "ClusterRole") if "aggregate" not in str(one["metadata"]["labels"]))
    account = the(objects, "ServiceAccount")["metadata"]["name"]
    assert role["rules"] == yaml.safe_load(chart_file("files/rules.yaml"))["rules"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
    assert pod_spec(objects)["serviceAccountName"] == account


def test_with_watched_namespaces_there_are_no_cluster_rights(helm: Helm) -> None:
    objects = helm.render(NAMESPACES)
    assert not [value["kind"] for value in objects if value["kind"].startswith("Cluster")]
    bindings = of_kind(objects, "RoleBinding")
    roles = tuple(one for one in of_kind(objects, "Role") if one["metadata"]["name"] == "sdbench")
    for found in (roles, bindings):
        assert [value["metadata"]["namespace"] for value in found] == ["team-a", "team-b"]
    assert all(role["rules"] == yaml.safe_load(chart_file("files/rules.yaml"))["rules"] for role in roles)
    assert all(binding["subjects"][0]["namespace"] == NAMESPACE for binding in bindings)


def test_no_rule_is_a_wildcard_or_reads_secrets() -> None:
    for rule in yaml.safe_load(chart_file("files/rules.yaml"))["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], rule
        assert "secrets" not in rule["resources"], rule


def test_an_existing_account_is_used_and_no_object_is_created_for_it(helm: Helm) -> None:
    objects = helm.render(VALUE_SETS["an existing account"], "--no-hooks")
    assert {value["kind"] for value in objects} == {"Deployment", "Service"}
    assert pod_spec(objects)["serviceAccountName"] == "given"


def test_the_crd_is_the_generated_one_and_outlives_the_release(helm: Helm) -> None:
    crd = the(helm.render(), "CustomResourceDefinition")
    generated = yaml.safe_load(chart_file("files/crd.yaml"))
    assert crd["metadata"]["name"] == generated["metadata"]["name"]
    # Compared as text: 2867200000 equals 2.8672e+09 in Python, but not for an API server.
    assert json.dumps(crd["spec"], sort_keys=True) == json.dumps(generated["spec"], sort_keys=True)
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_crd_can_be_deleted_with_the_release_or_left_out(helm: Helm) -> None:
    crd = the(helm.render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})
    assert not of_kind(helm.render({"crds": {"enabled": False}}), "CustomResourceDefinition")
