"""Tests which series a Benchmark has at each stage of its life."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.status import ConditionType, Status, TrialPhase, TrialRow
from sdbench.api.status_gate import GateRow, Verdict
from sdbench.controller.apiserver import errors
from sdbench.controller.apiserver.errors import ApiError
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.collector import BUG, BenchmarkSeries, OperatorSeries
from unit.core.gate.gates import BASELINE, answer, asked, baseline, complete, environment, row
from unit.core.worlds import NOON, benchmark

WHO = 'benchmark="tiny",namespace="default"'
HOLDING = {"job": "j", "scheduled_at": NOON, "phase": TrialPhase.RUNNING}

Values = dict[tuple[str, ...], float]
"""Values of one metric by its labels, without those that name the Benchmark."""


def served(*benchmarks: Benchmark) -> set[str]:
    registry = CollectorRegistry()
    registry.register(BenchmarkSeries(lambda: benchmarks))
    return {line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")}


def values(name: str, *benchmarks: Benchmark) -> Values:
    definition = next(one for one in definitions.ALL if one.name == name)
    text = "\n".join([*served(*benchmarks), ""])
    return {
        tuple(sample.labels[label] for label in definition.labels[2:]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels["benchmark"] == "tiny"
    }


def with_verdict(verdict: Verdict | None) -> Benchmark:
    found = answer(asked(), row())
    gate = GateRow(verdict=verdict) if verdict is not None else None
    return found.model_copy(update={"status": found.status.model_copy(update={"gate": gate})})


def with_trials(*changes: dict[str, Any], **status: Any) -> Benchmark:
    rows = (TrialRow(trial=i, point="devices=2", devices=2, repeat=i, **one) for i, one in enumerate(changes))
    return benchmark(asked(), Status(trials=tuple(rows), **status))


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_is_one_of_three_series(verdict: Verdict) -> None:
    found = {line for line in served(with_verdict(verdict)) if "verdict" in line}
    assert found == {
        f'sdbench_benchmark_verdict{{{WHO},verdict="{one}"}} {1.0 if one is verdict else 0.0}' for one in Verdict
    }


def test_without_a_verdict_there_are_no_verdict_series() -> None:
    assert not [line for line in served(with_verdict(None)) if "verdict" in line]


def test_an_unknown_projection_has_no_series() -> None:
    unknown = answer(asked(), row(days=None, device_hours=None, cost=None, projection_message="nobody knows"))
    lines = served(unknown)
    assert not [line for line in lines if "projected" in line or "device_hours" in line]
    assert [line for line in lines if line.startswith("sdbench_point_images_per_second{")]


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("images_per_second", "images_per_second", "99"),
        ("median_images_per_second", "median_images_per_second", "101"),
        ("images_per_second_low", "interval_low", "95"),
        ("images_per_second_high", "interval_high", "103"),
        ("variation_ratio", "median_coefficient_of_variation", "0.031"),
        ("scaling_efficiency_ratio", "scaling_efficiency", "1.02"),
        ("rank_skew_ratio", "rank_skew_ratio_max", "1.25"),
        ("data_wait_ratio", "data_wait_ratio_max", "0.21"),
        ("mfu_ratio", "mfu_ratio", "0.41"),
        ("projected_days", "days", "50.5"),
        ("device_hours", "device_hours", "1212"),
        ("projected_cost", "cost", "2424"),
    ],
)
def test_each_series_of_a_point_has_the_value_of_its_row(name: str, field: str, value: str) -> None:
    changes: dict[str, Any] = {field: Decimal(value)}
    found = answer(asked(), row(**changes))
    assert values(f"sdbench_point_{name}", found) == {("devices=1", "1"): float(value)}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("images_per_second_low", "interval_low"),
        ("images_per_second_high", "interval_high"),
        ("variation_ratio", "median_coefficient_of_variation"),
        ("mfu_ratio", "mfu_ratio"),
    ],
)
def test_an_unknown_statistic_is_absent_and_not_zero(name: str, field: str) -> None:
    unknown: dict[str, Any] = {field: None}
    assert values(f"sdbench_point_{name}", answer(asked(), row(**unknown))) == {}


@pytest.mark.parametrize(
    ("gate", "target"),
    [({"minImagesPerSecond": "120.5"}, {(): 120.5}), ({"maxDays": "9"}, {}), (None, {})],
)
def test_the_target_is_what_the_gate_asks_for(
    gate: dict[str, Any] | None, target: dict[tuple[str, ...], float]
) -> None:
    assert values("sdbench_benchmark_target_images_per_second", benchmark(asked(gate))) == target


def test_failed_trials_are_counted_by_the_reasons_that_occurred() -> None:
    crashed = {"phase": TrialPhase.FAILED, "reason": Reason.CRASHED}
    lost = {"phase": TrialPhase.FAILED, "reason": Reason.REPORT_LOST}
    tried_again = {"phase": TrialPhase.PENDING, "reason": Reason.STALLED}
    found = with_trials(crashed, crashed, lost, tried_again, {"phase": TrialPhase.FAILED})
    expected = {("Crashed",): 2, ("ReportLost",): 1, ("Unknown",): 1}
    assert values("sdbench_benchmark_failed_trials", found) == expected


def test_a_benchmark_waits_since_its_longest_waiting_trial_does() -> None:
    waiting = {"phase": TrialPhase.STARTING, "waiting_since": NOON}
    later = {"phase": TrialPhase.PENDING, "waiting_since": NOON + timedelta(minutes=1)}
    given_up = {"phase": TrialPhase.FAILED, "waiting_since": NOON - timedelta(minutes=1)}
    name = "sdbench_benchmark_waiting_since_timestamp_seconds"
    assert values(name, with_trials(later, waiting, given_up, {})) == {(): NOON.timestamp()}
    assert values(name, with_trials(given_up, {})) == {}


def test_devices_are_held_from_scheduling_to_release() -> None:
    not_bound = {"phase": TrialPhase.STARTING, "job": "j"}
    torn_down = {"job": "j", "phase": TrialPhase.SUCCEEDED, "scheduled_at": NOON}
    free = {"job": "j", "phase": TrialPhase.SUCCEEDED, "scheduled_at": NOON, "released_at": NOON}
    name = "sdbench_benchmark_devices"
    assert values(name, with_trials(not_bound, HOLDING, torn_down, free, {})) == {(): 4}
    assert values(name, with_trials(free)) == {(): 0}


@pytest.mark.parametrize(("price", "cost"), [("2.00", {(): 3.5}), ("0", {})])
def test_without_a_price_there_is_no_cost(price: str, cost: Values) -> None:
    found = with_trials({}, spent_device_seconds=6_300, spent_cost=Decimal("3.5"))
    devices = found.spec.devices.model_copy(update={"hourly_price": Decimal(price)})
    priced = found.model_copy(update={"spec": found.spec.model_copy(update={"devices": devices})})
    assert values("sdbench_benchmark_spent_cost_total", priced) == cost
    assert values("sdbench_benchmark_spent_device_seconds_total", priced) == {(): 6_300}


COMPARED = {"baseline": {"name": BASELINE}}
POINT = ("devices=1", "1")


def baseline_rate(of: Benchmark, *others: Benchmark) -> Values:
    return values("sdbench_point_baseline_images_per_second", of, *others)


def the_baseline(*rows: Any, **changes: Any) -> Benchmark:
    found = baseline(*(rows or (row(median_images_per_second=Decimal(90)),)), **changes).benchmark
    assert found is not None
    return found


def test_the_baseline_is_known_before_the_point_is_measured_and_after() -> None:
    assert baseline_rate(benchmark(asked(COMPARED)), the_baseline()) == {POINT: 90}
    assert baseline_rate(answer(asked(COMPARED), row()), the_baseline()) == {POINT: 90}


def test_points_that_only_one_of_the_two_has_are_not_compared() -> None:
    wide = the_baseline(row(2), row(4), of=asked(counts=(2, 4)))
    assert baseline_rate(benchmark(asked(COMPARED, counts=(1, 2))), wide) == {("devices=2", "2"): 100}


@pytest.mark.parametrize(
    "other",
    [
        the_baseline(namespace="elsewhere"),
        the_baseline(row(global_batch_size=16), of=asked(trainer={"globalBatchSize": 16})),
        the_baseline(of=asked(trainer={"imageSize": 128})),
        the_baseline(on={"devices=1": environment(device="H100")}),
    ],
    ids=["of another namespace", "another batch", "another image size", "on another device"],
)
def test_a_baseline_that_cannot_be_compared_has_no_series(other: Benchmark) -> None:
    assert baseline_rate(answer(asked(COMPARED), row()), other) == {}


def test_a_baseline_that_is_incomplete_unnamed_or_gone_has_no_series() -> None:
    base, mine = the_baseline(), answer(asked(COMPARED), row())
    failed = base.status.model_copy(update={"conditions": (complete(ConditionType.FAILED),)})
    assert baseline_rate(mine, base.model_copy(update={"status": failed})) == {}
    assert baseline_rate(answer(asked(), row()), base) == {}
    assert baseline_rate(mine) == {}


def test_the_series_ends_with_a_deleted_baseline() -> None:
    mine, base = answer(asked(COMPARED), row()), the_baseline()
    there = [mine, base]
    registry = CollectorRegistry()
    registry.register(BenchmarkSeries(lambda: there))
    assert b"sdbench_point_baseline_images_per_second{" in generate_latest(registry)
    there.remove(base)
    assert b"sdbench_point_baseline_images_per_second{" not in generate_latest(registry)


def test_every_kind_of_error_is_counted_from_zero_and_bugs_under_one_name() -> None:
    operator = OperatorSeries(lambda: (), lambda: 0)
    operator.pass_failed(KeyError("x"))
    operator.pass_failed(errors.Forbidden("403"))
    found = {
        sample.labels["reason"]: sample.value
        for family in operator.registry.collect()
        for sample in family.samples
        if sample.name == definitions.ERRORS.name
    }
    kinds = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ApiError)}
    assert found == dict.fromkeys(kinds, 0.0) | {BUG: 1.0, "Forbidden": 1.0}
