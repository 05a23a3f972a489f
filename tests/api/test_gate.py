"""Tests that a gate's verdict reaches the condition, the column, the Events and the series."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.cluster.scripted_pods import Player
from testkit.operators.observed_state import SECONDS, OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, account, condition
from testkit.server.columns import printed_lines
from testkit.server.examples import CreateBenchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

SMALL = {"model": "tiny", "imageSize": 32, "globalBatchSize": 8, "deviceMicrobatchSize": 4, "precision": "fp32"}
STAGES = [
    {"images": 86_400, "imageSize": 64},
    {"images": 864_000, "imageSize": 32, "benchmark": "small"},
]
"""Take 0.1 days at 10 images/s of one device, and 1 day at the 10 images/s of `small`."""


@pytest.fixture
def place(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorNamespace]:
    """A namespace with an operator that may read no other namespace."""
    namespace = create_namespace(plane)
    kubeconfig = account(plane, namespace)
    with OperatorProcess(kubeconfig, namespace, tmp_path_factory.mktemp("gate") / "log") as operator:
        yield OperatorNamespace(plane, namespace, operator)


@pytest.fixture
def namespace(place: OperatorNamespace) -> str:
    """The namespace in which `create_benchmark` creates Benchmarks."""
    return place.namespace


def test_other_benchmarks_extend_the_projection_and_the_verdict_is_shown_everywhere(
    place: OperatorNamespace, create_benchmark: CreateBenchmark
) -> None:
    with Player(place.plane.kubeconfig, place.namespace):
        create_benchmark("small", trainer=SMALL)
        place.wait_for("Complete", "small")
        limits = {"minImagesPerSecond": "10", "maxDays": "1.1", "minScalingEfficiency": "0.9"}
        create_benchmark("good", gate=limits, projection={"stages": STAGES})
        create_benchmark("slow", gate={"minScalingEfficiency": "0.95"}, projection={"stages": STAGES})
        create_benchmark("alone", gate={"minScalingEfficiency": "0.5", "baseline": {"name": "nobody"}})
        answers = {name: place.wait_for("Complete", name) for name in ("good", "slow", "alone")}
    passed = {name: condition(answer, "GatePassed") for name, answer in answers.items()}
    assert {name: (one["status"], one["reason"]) for name, one in passed.items()} == {
        "good": ("True", "Pass"),
        "slow": ("False", "ScalingEfficiency"),
        "alone": ("Unknown", "InsufficientData"),
    }
    assert "ScalingEfficiency of devices=2 is 0.9: the gate asks for at least 0.95" in passed["slow"]["message"]
    assert "Benchmark nobody does not exist in namespace" in passed["alone"]["message"]
    first = answers["good"]["status"]["points"][0]
    assert float(first["days"]) == pytest.approx(1.1, abs=1e-6)
    lines = printed_lines(place.plane.kubectl("get", "sdb", "-n", place.namespace))
    assert {name: line["VERDICT"] for name, line in lines.items() if name != "small"} == {
        "good": "Pass",
        "slow": "Fail",
        "alone": "InsufficientData",
    }
    assert {"GatePass", "GateFail", "GateInsufficientData"} <= set(place.reasons())
    assert_the_series_show_the_verdict(place)
    assert_the_results_stay(place, answers["good"])


def assert_the_series_show_the_verdict(place: OperatorNamespace) -> None:
    who = f'benchmark="slow",namespace="{place.namespace}"'
    expected = {f'sdbench_benchmark_verdict{{{who},verdict="{one}"}}' for one in ("Pass", "Fail", "InsufficientData")}

    def served() -> dict[str, str]:
        lines = place.operator.answer("/metrics")[1].splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line.startswith("sdbench_benchmark_verdict"))

    until(lambda: expected <= served().keys(), SECONDS, "the verdict among the series")
    assert {name for name, value in served().items() if name in expected and value == "1.0"} == {
        f'sdbench_benchmark_verdict{{{who},verdict="Fail"}}'
    }


def assert_the_results_stay(place: OperatorNamespace, answer: dict[str, Any]) -> None:
    """Points and gate stay the same after the referenced Benchmark is deleted and another pass is made."""
    place.plane.kubectl("delete", "sdb", "small", "-n", place.namespace)
    patch = '{"spec": {"limits": {"totalSeconds": 901}}}'
    place.plane.kubectl("patch", "sdb", "good", "-n", place.namespace, "--type=merge", "-p", patch)

    def passed_again() -> dict[str, Any] | None:
        found = place.benchmark("good")
        return found if found["status"]["observedGeneration"] == found["metadata"]["generation"] else None

    found = until(passed_again, SECONDS, "another pass")
    assert found["metadata"]["generation"] == 2
    for part in ("points", "gate"):
        assert found["status"][part] == answer["status"][part]
