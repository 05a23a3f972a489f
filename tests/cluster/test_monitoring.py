"""Tests that Prometheus, set up by the prometheus-operator, sees every run and answers every query.

This Prometheus knows the project only by the chart's PodMonitor, ServiceMonitor and PrometheusRule.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chart.support.dashboard import expressions
from cluster.support import documented
from cluster.support.broken_run import LIMITS, TRAINER, few_devices
from cluster.support.user import CHART, OPERATOR_NAMESPACE, RELEASE, ROOT, apply, example_benchmark, read, wait_for
from harness.addons.prometheus import Prometheus, prometheus_server
from harness.addons.prometheus_operator import SELECTED, Generated, generated, prometheus_operator
from harness.addons.translated import translated
from harness.cluster import Cluster
from harness.node import addresses
from harness.polling import until

NAMESPACE = "seen"
SPEC: dict[str, Any] = {
    # A peak that a core of this machine may have, so that a utilisation is computed.
    "devices": {**few_devices(2), "hourlyPrice": "2.00", "peakTeraflops": "0.05"},
    # Other processes on the machine must not mark a repeat as disturbed, or the gate would refuse to judge it.
    "trainer": {**TRAINER, "window": {"warmupBatches": 5, "batches": 60, "maxForeignCpuRatio": "1"}},
    "limits": LIMITS,
}
GATE = {"minImagesPerSecond": "1000000", "baseline": {"name": "baseline"}}
"""A gate that no run passes."""

PLACELESS = {"nodeSelector": {"no-node": "has-this"}}
SHORT_QUEUE = {**LIMITS, "queuedSeconds": 5}
GATE_FAILED = 'ALERTS{alertname="SdbenchGateFailed", alertstate="firing"}'
PENDING = 'ALERTS{alertname="SdbenchPendingTooLong", alertstate="firing"}'
MONITORED = {
    "podMonitor": {"enabled": True, "interval": "1s", "labels": SELECTED},
    "serviceMonitor": {"enabled": True, "interval": "1s", "labels": SELECTED},
    "prometheusRule": {"enabled": True, "labels": SELECTED, "thresholds": {"pendingSeconds": 1}},
}


Targets = dict[str, tuple[str, str]]
"""Pod → the monitor that finds it, and the target's health."""


@dataclass(frozen=True)
class MonitoredRun:
    """A Prometheus that ran during the Benchmarks, from `began` on."""

    reader: Prometheus
    began: float
    master: str
    """The pod of rank 0 of `judged`, while it was a target."""
    operator: str
    training: Targets
    """The targets while that pod was scraped."""
    afterwards: Targets
    """The targets after the end of all Benchmarks."""

    def over_the_run(self, query: str) -> list[dict[str, Any]]:
        return self.reader.query_range(query, self.began, time.time(), 1)


@pytest.fixture(scope="module")
def generated_config(cluster: Cluster, prepared: None) -> Iterator[Generated]:
    """The configuration that the prometheus-operator generates from the release's monitors and rules."""
    release = (RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait")
    with prometheus_operator(cluster.run, cluster.plane) as operator:
        values = json.dumps({"monitoring": MONITORED})
        cluster.helm("upgrade", *release, CHART, "--reset-then-reuse-values", "--values", "-", input=values)
        yield generated(cluster.plane, operator)
        cluster.helm("rollback", *release)


@pytest.fixture(scope="module")
def reader(cluster: Cluster, generated_config: Generated) -> Iterator[Prometheus]:
    """A Prometheus with that configuration and those rules."""
    rules = cluster.folder / "rules"
    rules.mkdir()
    for name, content in generated_config.rules.items():
        (rules / Path(name).name).write_text(content)
    config = translated(generated_config.config, rules, cluster.discovery)
    with prometheus_server(cluster.run, addresses.MACHINE, config, "reader") as server:
        yield server


@pytest.fixture(scope="module")
def monitored(cluster: Cluster, reader: Prometheus, make_namespace_once: Callable[[str], None]) -> MonitoredRun:
    """Runs a baseline, and then a Benchmark that is compared with it beside one that finds no node."""
    make_namespace_once(NAMESPACE)
    began = time.time()
    apply(cluster, example_benchmark("baseline", NAMESPACE, **SPEC))
    wait_for(cluster, NAMESPACE, "baseline", "CleanedUp", 600)
    placeless = {**SPEC, "limits": SHORT_QUEUE, "scheduling": PLACELESS}
    apply(cluster, example_benchmark("unplaceable", NAMESPACE, **placeless))
    apply(cluster, example_benchmark("judged", NAMESPACE, **SPEC, repeats={"min": 2}, gate=GATE))
    (operator,) = _pods(cluster, OPERATOR_NAMESPACE, f"app.kubernetes.io/instance={RELEASE}")
    training = until(lambda: _while_it_trains(cluster, reader, operator), 300, "judged and the operator to be scraped")
    wait_for(cluster, NAMESPACE, "unplaceable", "Failed", 300)
    wait_for(cluster, NAMESPACE, "judged", "CleanedUp", 600)
    until(lambda: reader.query(GATE_FAILED) or None, 60, "the alert of the gate")
    until(lambda: _targets(reader).keys() == {operator}, 30, "the ended pods to be removed from the targets")
    (master,) = training.keys() - {operator}
    return MonitoredRun(reader, began, master, operator, training, _targets(reader))


def _while_it_trains(cluster: Cluster, reader: Prometheus, operator: str) -> Targets | None:
    """The targets once they are the operator and a master of `judged`, and all are up; otherwise None."""
    masters = _pods(cluster, NAMESPACE, "sdbench.dev/benchmark=judged,training.kubeflow.org/replica-type=master")
    targets = _targets(reader)
    up = all(health == "up" for _, health in targets.values())
    return targets if masters and up and targets.keys() == {operator, *masters} else None


def _pods(cluster: Cluster, namespace: str, selector: str) -> list[str]:
    return [pod["metadata"]["name"] for pod in read(cluster, namespace, "pods", "-l", selector)["items"]]


def _targets(reader: Prometheus) -> Targets:
    found = reader.targets()
    return {each["labels"]["pod"]: (each["scrapePool"].rpartition("/")[0], each["health"]) for each in found}


def test_the_targets_are_the_operators_service_and_the_master_of_the_running_trial(monitored: MonitoredRun) -> None:
    operator = (f"serviceMonitor/{OPERATOR_NAMESPACE}/{RELEASE}", "up")
    master = (f"podMonitor/{OPERATOR_NAMESPACE}/{RELEASE}-trainer", "up")
    assert monitored.training == {monitored.operator: operator, monitored.master: master}
    assert monitored.afterwards == {monitored.operator: operator}


def test_every_documented_series_exists_with_exactly_its_labels(monitored: MonitoredRun) -> None:
    found: dict[str, set[frozenset[str]]] = {}
    for each in monitored.reader.series('{__name__=~"sdbench_.*"}'):
        found.setdefault(each["__name__"], set()).add(frozenset(each) - {"__name__"})
    promised: dict[str, set[frozenset[str]]] = {}
    for promise in documented.promises():
        promised.setdefault(promise.name, set()).add(promise.labels)
    for name in promised.keys() - found.keys() & documented.UNKNOWN_ON_A_CPU:
        del promised[name]
    assert found == promised


def test_every_query_of_every_panel_has_a_result_with_documented_labels(monitored: MonitoredRun) -> None:
    queries = expressions({"namespace": NAMESPACE, "benchmark": ".+"})
    assert {title.partition("/")[0] for title, _ in queries} == {"fleet", "run", "scaling"}
    wrong = [f"{title}: {query}: {message}" for title, query in queries if (message := _wrong(monitored, query))]
    assert not wrong, "\n".join(wrong)


def test_every_recording_rule_has_a_result_with_documented_labels(monitored: MonitoredRun) -> None:
    rules = [rule for rule in monitored.reader.rules() if rule["type"] == "recording"]
    assert rules
    wrong = [f"{rule['name']}: {message}" for rule in rules if (message := _wrong(monitored, rule["query"]))]
    wrong += [f"{rule['name']} has no series" for rule in rules if not monitored.over_the_run(rule["name"])]
    assert not wrong, "\n".join(wrong)


def test_every_rule_is_evaluated_without_an_error(monitored: MonitoredRun) -> None:
    unhealthy = [rule for rule in monitored.reader.rules() if (rule["health"], rule.get("lastError")) != ("ok", None)]
    assert not unhealthy, unhealthy


def test_every_alert_has_a_state_and_those_with_a_cause_have_fired(monitored: MonitoredRun) -> None:
    alerts = {rule["name"]: rule["state"] for rule in monitored.reader.rules() if rule["type"] == "alerting"}
    documented_alerts = set(re.findall(r"(?m)^#+ (Sdbench\w+)", (ROOT / "docs" / "alerts.md").read_text()))
    assert alerts.keys() == documented_alerts
    assert (NAMESPACE, "unplaceable") in _whose(monitored.over_the_run(PENDING))
    assert _whose(monitored.over_the_run(GATE_FAILED)) == {(NAMESPACE, "judged")}
    assert alerts["SdbenchOperatorDown"] == "inactive"


def _whose(alerts: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(each["metric"]["namespace"], each["metric"]["benchmark"]) for each in alerts}


def _wrong(monitored: MonitoredRun, query: str) -> str:
    """What is wrong with a query's result over the time of the runs; empty if nothing."""
    answer = monitored.over_the_run(query)
    if not answer:
        return "" if documented.unknown_on_a_cpu(query) else "no series"
    undocumented = (
        {label for series in answer for label in series["metric"]} - documented.labels_of(query) - {"__name__"}
    )
    return f"undocumented labels {', '.join(sorted(undocumented))}" if undocumented else ""
