"""Which series does a Benchmark have for its verdict and its projection, and when has it none?"""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sdbench.api.benchmark import Benchmark
from sdbench.api.verdict import GateRow, Verdict
from sdbench.controller.metrics import BenchmarkSeries
from unit.core.gates import answer, asked, row

WHO = 'benchmark="tiny",namespace="default"'


def served(*benchmarks: Benchmark) -> set[str]:
    registry = CollectorRegistry()
    registry.register(BenchmarkSeries(lambda: benchmarks))
    return {line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")}


def with_verdict(verdict: Verdict | None) -> Benchmark:
    found = answer(asked(), row())
    gate = GateRow(verdict=verdict) if verdict is not None else None
    return found.model_copy(update={"status": found.status.model_copy(update={"gate": gate})})


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_is_one_of_three_series(verdict: Verdict) -> None:
    found = {line for line in served(with_verdict(verdict)) if "verdict" in line}
    assert found == {
        f'sdbench_benchmark_verdict{{{WHO},verdict="{one}"}} {1.0 if one is verdict else 0.0}' for one in Verdict
    }


def test_without_a_verdict_there_is_none_of_them() -> None:
    assert not [line for line in served(with_verdict(None)) if "verdict" in line]


def test_a_projection_that_is_not_known_has_no_series() -> None:
    unknown = answer(asked(), row(days=None, device_hours=None, cost=None, unprojected="nobody knows"))
    lines = served(unknown)
    assert not [line for line in lines if "projected" in line]
    assert [line for line in lines if line.startswith("sdbench_point_images_per_second")]
