"""Tests that the served metrics match their definitions and the documentation, and that promtool accepts them."""

import asyncio
import re
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chart.support.promtool import warnings_about
from harness.ports import free_ports
from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase
from sdbench.api.status_gate import GateRow, Verdict
from sdbench.controller.apiserver.requests import CALLS
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.collector import OperatorSeries
from sdbench.controller.metrics.server import served
from sdbench_trainer.measure import metrics
from sdbench_trainer.report import WindowState
from unit.core.gate.gates import BASELINE, answer, asked, baseline, row
from unit.core.worlds import NOON

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>sdbench_\w+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*)\| (?P<meaning>[^|]+) \|$", re.M)
LOOPBACK = "127.0.0.1"
PROJECTIONS = {
    'sdbench_point_device_hours use base unit "seconds" instead of "hours"',
    'sdbench_point_projected_days use base unit "seconds" instead of "days"',
}
"""Findings of promtool that we accept: the results are in days and device-hours."""

Row = tuple[str, str, tuple[str, ...]]
"""Name, type and labels of a metric."""


def of_trainer() -> list[Row]:
    # Prometheus exposes an info metric as a gauge.
    kinds = {kind: "gauge" if kind is metrics.MetricType.INFO else kind.value for kind in metrics.MetricType}
    return [(one.name, kinds[one.kind], one.labels) for one in metrics.METRICS]


def of_operator() -> list[Row]:
    return [(one.name, one.kind.value, one.labels) for one in definitions.ALL]


@pytest.fixture(scope="module")
def trainer_text() -> bytes:
    """The metrics of a trainer on an accelerator within its window."""
    live = metrics.Telemetry("tiny", device_memory=True)
    live.utilisation(lambda images_per_second: images_per_second / 1000)
    live.step(0.5, 8, waited=0.1, loss=1.5, state=WindowState.MEASURING)
    (port,) = free_ports(1, LOOPBACK)
    metrics.serve(live, port)
    return _scraped(port)


@pytest.fixture(scope="module")
def operator_text() -> bytes:
    """The metrics of an operator with a value for every series."""

    async def scraped() -> bytes:
        operator, (port,) = OperatorSeries(everything, lambda: 1), free_ports(1, LOOPBACK)
        operator.duration.observe(0.1)
        operator.request_sent(CALLS[0], "200")
        async with served(port, operator.registry, str):
            return await asyncio.to_thread(_scraped, port)

    return asyncio.run(scraped())


def everything() -> tuple[Benchmark, ...]:
    """A Benchmark that has a value for every series, and its baseline."""
    gate = {"minImagesPerSecond": "90", "baseline": {"name": BASELINE}}
    found = answer(asked(gate), row(interval_low=Decimal(95), interval_high=Decimal(105)))
    waiting = found.status.trials[0].model_copy(update={"phase": TrialPhase.STARTING, "waiting_since": NOON})
    failed = found.status.trials[0].model_copy(update={"phase": TrialPhase.FAILED, "reason": Reason.CRASHED})
    trials = (*found.status.trials, waiting, failed)
    status = found.status.model_copy(update={"trials": trials, "gate": GateRow(verdict=Verdict.PASS)})
    other = baseline(row()).benchmark
    assert other is not None
    return found.model_copy(update={"status": status}), other


def test_promtool_accepts_the_trainers_metrics(trainer_text: bytes) -> None:
    assert warnings_about(trainer_text) == set()


def test_promtool_accepts_the_operators_metrics_except_the_units_of_projections(
    operator_text: bytes,
) -> None:
    assert warnings_about(operator_text) == PROJECTIONS


def test_promtool_reports_a_counter_without_the_suffix_total() -> None:
    assert warnings_about(b"# HELP sdbench_images Images.\n# TYPE sdbench_images counter\nsdbench_images 1\n")


@pytest.mark.parametrize(("text", "table"), [("trainer_text", of_trainer), ("operator_text", of_operator)])
def test_exactly_the_defined_metrics_are_served_with_their_types_and_labels(
    request: pytest.FixtureRequest, text: str, table: Callable[[], list[Row]]
) -> None:
    families = list(text_string_to_metric_families(request.getfixturevalue(text).decode()))
    own = [family for family in families if family.name.startswith("sdbench_")]
    assert len(own) == len(families)
    found = {(family.name, family.type): {frozenset(one.labels) - {"le"} for one in family.samples} for family in own}
    assert found == {(name.removesuffix("_total"), kind): {frozenset(labels)} for name, kind, labels in table()}


def test_the_documentation_lists_the_served_metrics() -> None:
    rows = [
        (row["name"], row["kind"], tuple(re.findall(r"`(\w+)`", row["labels"])))
        for row in ROW.finditer(DOCUMENT.read_text())
    ]
    assert rows == [*of_trainer(), *of_operator()]


def _scraped(port: int) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{LOOPBACK}:{port}/metrics", timeout=30) as response:
        text: bytes = response.read()
    return text
