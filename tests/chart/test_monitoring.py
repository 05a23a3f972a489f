"""Do PodMonitors come only when asked, and do they point at what we serve?"""

import re
from typing import Any

import pytest

from chart.rendering import Helm, Manifest, of_kind, pod_spec, the
from chart.value_sets import VALUE_SETS
from sdbench.api.names import BENCHMARK_LABEL, TRIAL_LABEL

MONITORED = VALUE_SETS["monitored"]


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_nothing_is_monitored_unless_asked(helm: Helm, values: dict[str, Any]) -> None:
    asked = "monitoring" in values
    objects = helm.render(values)
    assert len(of_kind(objects, "PodMonitor")) == (2 if asked else 0)


def test_the_operators_own_labels_win_over_the_targets(helm: Helm) -> None:
    objects = helm.render(MONITORED)
    monitor = _monitor(objects, "operator")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["interval"], endpoint["honorLabels"]) == ("metrics", "5s", True)
    labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert "metrics" in [port["name"] for port in pod_spec(objects)["containers"][0]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_the_trainers_series_get_the_names_of_benchmark_and_trial(helm: Helm) -> None:
    spec = _monitor(helm.render(MONITORED), "trainer")["spec"]
    assert spec["selector"]["matchExpressions"] == [{"key": BENCHMARK_LABEL, "operator": "Exists"}]
    (endpoint,) = spec["podMetricsEndpoints"]
    taken = {rule["targetLabel"]: rule["sourceLabels"] for rule in endpoint["relabelings"] if "targetLabel" in rule}
    assert taken == {"benchmark": [_discovered(BENCHMARK_LABEL)], "trial": [_discovered(TRIAL_LABEL)]}


def test_of_a_job_the_master_alone_is_a_target(helm: Helm) -> None:
    spec = _monitor(helm.render(MONITORED), "trainer")["spec"]
    assert spec["selector"]["matchLabels"] == {"training.kubeflow.org/replica-type": "master"}


def test_finished_pods_are_no_targets(helm: Helm) -> None:
    (endpoint,) = _monitor(helm.render(MONITORED), "trainer")["spec"]["podMetricsEndpoints"]
    dropped = next(rule for rule in endpoint["relabelings"] if rule["action"] == "drop")
    assert dropped["sourceLabels"] == ["__meta_kubernetes_pod_phase"]
    assert [
        phase for phase in ("Pending", "Running", "Succeeded", "Failed") if re.fullmatch(dropped["regex"], phase)
    ] == [
        "Succeeded",
        "Failed",
    ]


def test_trainers_are_looked_for_where_benchmarks_are_run(helm: Helm) -> None:
    everywhere = _monitor(helm.render(MONITORED), "trainer")
    here = _monitor(helm.render(VALUE_SETS["monitored namespace"]), "trainer")
    assert everywhere["spec"]["namespaceSelector"] == {"any": True}
    assert here["spec"]["namespaceSelector"] == {"matchNames": ["team-a"]}


def _monitor(objects: tuple[Manifest, ...], of: str) -> Manifest:
    return next(o for o in of_kind(objects, "PodMonitor") if o["metadata"]["name"].endswith(f"-{of}"))


def _discovered(label: str) -> str:
    """How Prometheus' service discovery spells a pod's label."""
    return "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", label)
