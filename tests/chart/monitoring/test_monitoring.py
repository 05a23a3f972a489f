"""Tests that monitors are created only on request, and select the ports that serve metrics."""

import re
from dataclasses import replace
from typing import Any

import pytest

from chart.support.rendering import Helm, Manifest, of_kind, pod_spec, the
from chart.support.value_sets import VALUE_SETS
from sdbench.api.names import BENCHMARK_LABEL, TRIAL_LABEL

MONITORED = VALUE_SETS["monitored"]


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_monitoring_is_off_by_default(helm: Helm, values: dict[str, Any]) -> None:
    asked = {name for name, choice in values.get("monitoring", {}).items() if choice["enabled"]}
    objects = helm.render(values)
    made = {
        "podMonitor": of_kind(objects, "PodMonitor"),
        "serviceMonitor": of_kind(objects, "ServiceMonitor"),
        "dashboards": [one for one in of_kind(objects, "ConfigMap") if "-dashboard" in one["metadata"]["name"]],
    }
    assert {name for name, found in made.items() if found} == asked - {"prometheusRule"}


BY_POD = {"monitoring": {"podMonitor": {"enabled": True}}}
BY_SERVICE = {"monitoring": {"serviceMonitor": {"enabled": True}}}
BY_BOTH = {"monitoring": BY_POD["monitoring"] | BY_SERVICE["monitoring"]}


@pytest.mark.parametrize(
    ("values", "made"),
    [
        (BY_POD, ["PodMonitor/sdbench-operator", "PodMonitor/sdbench-trainer"]),
        (BY_SERVICE, ["ServiceMonitor/sdbench"]),
        (BY_BOTH, ["PodMonitor/sdbench-trainer", "ServiceMonitor/sdbench"]),
    ],
    ids=["by pod", "by Service", "by both"],
)
def test_the_operator_is_scraped_once(helm: Helm, values: dict[str, Any], made: list[str]) -> None:
    monitors = of_kind(helm.render(values), "PodMonitor", "ServiceMonitor")
    assert sorted(f"{one['kind']}/{one['metadata']['name']}" for one in monitors) == made


def test_the_service_monitor_selects_the_operators_service(helm: Helm) -> None:
    objects = helm.render(VALUE_SETS["all on"])
    monitor, service = the(objects, "ServiceMonitor"), the(objects, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [service["metadata"]["namespace"]]}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["interval"], endpoint["honorLabels"]) == ("metrics", "5s", True)
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


WITHOUT = {
    "monitoring.podMonitor.enabled": (BY_POD, "monitoring.coreos.com/v1/PodMonitor", "the prometheus-operator"),
    "monitoring.serviceMonitor.enabled": (
        BY_SERVICE,
        *("monitoring.coreos.com/v1/ServiceMonitor", "the prometheus-operator"),
    ),
    "kueue.localQueues": (
        {"kueue": {"localQueues": [{"name": "a", "namespace": "b", "clusterQueue": "c"}]}},
        *("kueue.x-k8s.io/v1beta1/LocalQueue", "Kueue"),
    ),
}


@pytest.mark.parametrize(("switch", "found"), WITHOUT.items(), ids=WITHOUT)
def test_a_switch_for_an_api_that_is_not_served_is_refused(
    helm: Helm, switch: str, found: tuple[dict[str, Any], str, str]
) -> None:
    values, api, brought_by = found
    elsewhere = replace(helm, served=tuple(each for each in helm.served if each != api))
    assert f"{switch}: this cluster does not serve {api}. Install {brought_by} first" in elsewhere.refusal(values)


def test_the_operators_labels_take_precedence_over_the_targets(helm: Helm) -> None:
    objects = helm.render(MONITORED)
    monitor = _monitor(objects, "operator")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["interval"], endpoint["honorLabels"]) == ("metrics", "5s", True)
    labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert "metrics" in [port["name"] for port in pod_spec(objects)["containers"][0]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_the_trainers_series_get_the_labels_benchmark_and_trial(helm: Helm) -> None:
    spec = _monitor(helm.render(MONITORED), "trainer")["spec"]
    assert spec["selector"]["matchExpressions"] == [{"key": BENCHMARK_LABEL, "operator": "Exists"}]
    (endpoint,) = spec["podMetricsEndpoints"]
    taken = {rule["targetLabel"]: rule["sourceLabels"] for rule in endpoint["relabelings"] if "targetLabel" in rule}
    assert taken == {"benchmark": [_discovered(BENCHMARK_LABEL)], "trial": [_discovered(TRIAL_LABEL)]}


def test_only_the_master_of_a_job_is_a_target(helm: Helm) -> None:
    spec = _monitor(helm.render(MONITORED), "trainer")["spec"]
    assert spec["selector"]["matchLabels"] == {"training.kubeflow.org/replica-type": "master"}


def test_a_finished_pod_is_not_a_target(helm: Helm) -> None:
    (endpoint,) = _monitor(helm.render(MONITORED), "trainer")["spec"]["podMetricsEndpoints"]
    dropped = next(rule for rule in endpoint["relabelings"] if rule["action"] == "drop")
    assert dropped["sourceLabels"] == ["__meta_kubernetes_pod_phase"]
    assert [
        phase for phase in ("Pending", "Running", "Succeeded", "Failed") if re.fullmatch(dropped["regex"], phase)
    ] == [
        "Succeeded",
        "Failed",
    ]


def test_trainers_are_selected_in_the_watched_namespaces(helm: Helm) -> None:
    everywhere = _monitor(helm.render(MONITORED), "trainer")
    here = _monitor(helm.render(VALUE_SETS["monitored namespace"]), "trainer")
    assert everywhere["spec"]["namespaceSelector"] == {"any": True}
    assert here["spec"]["namespaceSelector"] == {"matchNames": ["team-a"]}


def _monitor(objects: tuple[Manifest, ...], of: str) -> Manifest:
    return next(o for o in of_kind(objects, "PodMonitor") if o["metadata"]["name"].endswith(f"-{of}"))


def _discovered(label: str) -> str:
    """The name that Prometheus' service discovery gives a pod's label."""
    return "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", label)
