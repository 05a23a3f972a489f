"""Tests that the notes after an installation name the next commands correctly."""

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.support.rendering import CHART, NAMESPACE, RELEASE, SERVED, Helm, the
from chart.support.value_sets import VALUE_SETS
from sdbench.api.benchmark import Benchmark
from sdbench.api.names import API_VERSION, KIND

WRAPPED = """\
kind: Notes
text: |
  {{- include (print $.Template.BasePath "/NOTES.txt") . | nindent 2 }}
"""
"""Helm shows notes only at a real installation, so a copy of the chart puts them into an object."""


@pytest.fixture(scope="module")
def installed(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    chart = Path(shutil.copytree(CHART, tmp_path_factory.mktemp("notes") / "sdbench"))
    (chart / "templates" / "notes.yaml").write_text(WRAPPED)
    return replace(helm, chart=chart)


def notes(helm: Helm, values: dict[str, Any], *options: str) -> str:
    """The notes after an installation with these values."""
    return str(the(helm.render(values, *options), "Notes")["text"])


def test_the_commands_name_the_release_and_the_namespaces(installed: Helm) -> None:
    text = notes(installed, {"watchNamespaces": ["team-a"], "fullnameOverride": "benchmarks"})
    assert [line for line in text.splitlines() if line.startswith("kubectl")] == [
        f"kubectl --namespace {NAMESPACE} rollout status deployment/benchmarks",
        "kubectl --namespace team-a apply -f - <<'EOF'",
        "kubectl --namespace team-a get sdb first --watch",
    ]


def test_the_first_benchmark_is_valid(installed: Helm) -> None:
    question = first_question(installed, {})
    assert (question["apiVersion"], question["kind"]) == (API_VERSION, KIND)
    assert Benchmark.model_validate(question).spec.devices.counts == (1, 2)


ONE_DEVICE: dict[str, dict[str, Any]] = {
    "a bound": {"bounds": {"maxDevices": 1}},
    "a policy": {"policies": {"enabled": True, "default": {"maxDevices": 1, "deviceHours": "1"}}},
    "a policy of the namespace": {"policies": {"enabled": True, "namespaces": {"default": {"maxDevices": 1}}}},
}


@pytest.mark.parametrize("values", ONE_DEVICE.values(), ids=ONE_DEVICE)
def test_the_first_benchmark_respects_bounds_and_policies(installed: Helm, values: dict[str, Any]) -> None:
    spec = Benchmark.model_validate(first_question(installed, values)).spec
    assert spec.devices.counts == (1,)
    assert spec.limits.device_hours == Decimal("0.5")


def first_question(helm: Helm, values: dict[str, Any]) -> dict[str, Any]:
    """The manifest in the notes."""
    found: dict[str, Any] = yaml.safe_load(notes(helm, values).split("<<'EOF'\n")[1].split("\nEOF\n")[0])
    return found


def test_the_notes_report_a_missing_training_operator(installed: Helm) -> None:
    sentence = "This cluster does not serve PyTorchJobs"
    assert sentence in notes(installed, {})
    assert sentence not in notes(installed, {}, "--api-versions", "kubeflow.org/v1/PyTorchJob")


def test_the_notes_list_the_administrators_bounds_and_presets(installed: Helm) -> None:
    sentences = ("Bounds that no author can raise", "spec.scheduling.preset may name")
    assert not [sentence for sentence in sentences if sentence in notes(installed, {})]
    values = VALUE_SETS["bounded"] | {"presets": {"rdma": {}, "plain": {}}}
    text = notes(installed, values)
    assert (
        "Bounds that no author can raise: 1000000 devices at once for each Benchmark, "
        "0.5 device-hours for each Benchmark, 2 Trials of all Benchmarks at once."
    ) in text
    assert "spec.scheduling.preset may name: plain, rdma." in text


def test_the_test_command_names_the_release(installed: Helm) -> None:
    assert f"helm test {RELEASE} --namespace {NAMESPACE}\n" in notes(installed, {})
    longer = {"test": {"benchmark": True, "seconds": 600}}
    assert f"helm test {RELEASE} --namespace {NAMESPACE} --timeout 720s\n" in notes(installed, longer)


MONITORING = {
    "no prometheus-operator": ({}, (), "This cluster has no prometheus-operator"),
    "an unused prometheus-operator": ({}, SERVED, "This cluster has the prometheus-operator, but nothing is scraped"),
    "a PodMonitor": ({"monitoring": {"podMonitor": {"enabled": True}}}, SERVED, ""),
    "a ServiceMonitor": ({"monitoring": {"serviceMonitor": {"enabled": True}}}, SERVED, ""),
}


@pytest.mark.parametrize(("values", "served", "sentence"), MONITORING.values(), ids=MONITORING)
def test_the_notes_report_missing_monitoring(
    installed: Helm, values: dict[str, Any], served: tuple[str, ...], sentence: str
) -> None:
    text = notes(replace(installed, served=served), values)
    said = [found for _, _, found in MONITORING.values() if found and found in text]
    assert said == ([sentence] if sentence else [])


def test_the_notes_list_the_queues_and_roles(installed: Helm) -> None:
    queues = [{"name": "fast", "namespace": "team-a", "clusterQueue": "gpus"}]
    text = notes(installed, {"watchNamespaces": ["team-a"], "kueue": {"localQueues": queues}})
    assert "spec.scheduling.queueName may name: fast in team-a." in text
    assert f"a RoleBinding to {RELEASE}-view or {RELEASE}-edit" in text
    assert "RoleBinding" not in notes(installed, {})
