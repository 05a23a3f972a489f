"""Tests that a cluster of 256 devices reproduces the project's reference table, whatever happens meanwhile.

Rates and efficiencies must equal the table's. The table rounds days, device-hours and cost by rules of its own (whole
hours first, cost to thousands; see sdbench.core.measure.projection), while the product computes exactly: 258.84 days
where the table says 258.83. So the tests make three comparisons of these cells: status and report with exact
arithmetic, the product's `--seed-rounding` with the table, and the status with the table up to its rounding.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

from harness.control_plane.components import ControlPlane
from harness.kwok_cluster import DEVICES_PER_NODE, NODES
from harness.node.kwok import SIMULATED, ready
from harness.polling import until
from scale import seed
from scale.benchmarks import EXAMPLE, SECONDS, StoredBenchmark, create, example, printed
from scale.pod_finisher import AttemptId, PodFinisher
from testkit.operators.operator_process import OperatorProcess

SECONDS_PER_HOUR = 3_600
HALF_AN_HOUR = Fraction(1, 2)

DISTURBED = "a100-disturbed"

WAITS = AttemptId(DISTURBED, 5)
"""The first Trial on all devices: while a node is cordoned, one of its pods cannot be scheduled."""

STALLS = AttemptId(DISTURBED, 8)
"""An Attempt on 32 devices that the stage `worker-stalls` selects by its labels; the other pods keep running."""

LOSES_NODE = AttemptId(DISTURBED, 10)
"""An Attempt on 128 devices that runs until a node dies."""

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
"""The taint with which a user declares a node dead, so that its devices count as free; the status suggests it."""


def test_the_benchmark_of_the_table_reproduces_the_table(
    plane: ControlPlane, namespace: str, operator: OperatorProcess
) -> None:
    benchmark = StoredBenchmark(plane, namespace, "a100-scaling", operator)
    with PodFinisher(plane.kubeconfig, namespace, seed.RATES) as finisher:
        plane.kubectl("apply", "-f", EXAMPLE, "-n", namespace)
        status = benchmark.wait_for("CleanedUp")
    assert (status["phase"], status["summary"]["verdict"]) == ("Succeeded", "Pass")
    assert [(row["phase"], row["attempt"]) for row in status["trials"]] == [("Succeeded", 1)] * 6
    assert len(finisher.created()) == sum(row.devices // 8 for row in seed.TABLE)
    benchmark.wait_until_nothing_is_left()
    assert_the_points_are_the_table(status["points"])
    assert_the_report_is_the_table(benchmark)
    assert_the_rounding_of_the_table_gives_its_cells(plane, status["points"])


def test_three_repeats_reproduce_the_table_though_an_attempt_fails_a_node_dies_and_a_pod_is_unschedulable(
    plane: ControlPlane, namespace: str, operator: OperatorProcess
) -> None:
    benchmark = StoredBenchmark(plane, namespace, DISTURBED, operator)
    with (
        cordoned(plane, "node-07"),
        PodFinisher(plane.kubeconfig, namespace, seed.RATES, {STALLS, LOSES_NODE}) as finisher,
    ):
        create(plane, namespace, example(benchmark.name, repeats={"min": 3, "max": 3}))
        until(lambda: len(finisher.running(WAITS)) == NODES - 1, SECONDS, "all but one pod to run")
        benchmark.wait_for_row(
            WAITS.trial, "one to find no node", lambda row: re.match(r"Pod \S+ finds no", row["message"])
        )
        plane.kubectl("uncordon", "node-07")
        victim = kill_a_node(benchmark, finisher, LOSES_NODE)
        status = benchmark.wait_for("CleanedUp")
    tries = {row["trial"]: (row["attempt"], row["failures"]) for row in status["trials"]}
    assert tries == dict.fromkeys(range(18), (1, 0)) | {STALLS.trial: (2, 1), LOSES_NODE.trial: (2, 1)}
    assert {row["phase"] for row in status["trials"]} == {"Succeeded"}
    assert_the_root_causes_are_named(benchmark, victim)
    assert_nothing_was_doubled(finisher, status)
    assert_the_next_attempt_waited_for(victim, finisher)
    assert_the_points_are_the_table(status["points"])
    assert {(row["repeats"], row["standardDeviation"]) for row in status["points"]} == {(3, "0")}
    assert_the_report_is_the_table(benchmark, spread=" ± 0.0")
    benchmark.wait_until_nothing_is_left()


@contextmanager
def cordoned(plane: ControlPlane, node: str) -> Iterator[None]:
    """Cordons a node for the block or until it is uncordoned."""
    plane.kubectl("cordon", node)
    try:
        yield
    finally:
        plane.kubectl("uncordon", node)


def kill_a_node(benchmark: StoredBenchmark, finisher: PodFinisher, one: AttemptId) -> str:
    """Kills a node in the middle of an Attempt, taints it as dead, and revives it once the returned pod is gone."""
    plane = benchmark.plane
    pods = until(lambda: all_running(finisher, one), SECONDS, "all pods of the Attempt to run")
    victim, place = pods[3]["metadata"]["name"], pods[3]["spec"]["nodeName"]
    plane.kubectl("label", "node", place, f"{SIMULATED}-")
    until(lambda: place not in ready(plane), SECONDS, f"{place} to be lost")
    plane.kubectl("taint", "node", place, OUT_OF_SERVICE)
    until(lambda: ("DELETED", victim) in finisher.history, SECONDS, f"{victim} to go")
    plane.kubectl("taint", "node", place, f"{OUT_OF_SERVICE}-")
    plane.kubectl("label", "node", place, f"{SIMULATED}=")
    return str(victim)


def all_running(finisher: PodFinisher, one: AttemptId) -> list[dict[str, Any]] | None:
    """The pods of an Attempt if all of them run, else None."""
    running = finisher.running(one)
    return running if len(running) == pods_of(seed.TABLE[one.trial % len(seed.TABLE)].devices) else None


def pods_of(devices: int) -> int:
    return devices // DEVICES_PER_NODE


def assert_the_root_causes_are_named(benchmark: StoredBenchmark, victim: str) -> None:
    messages = benchmark.warnings()
    assert set(messages) == {"Stalled", "NodeLost"}
    assert f"Trial {STALLS.trial} (devices=32), attempt 1: " in messages["Stalled"]
    assert "worker-2" in messages["Stalled"]
    assert f"Trial {LOSES_NODE.trial} (devices=128), attempt 1: Pod {victim} was taken off node" in messages["NodeLost"]


def assert_nothing_was_doubled(finisher: PodFinisher, status: dict[str, Any]) -> None:
    """Checks that each pod existed once, and that there were as many as the Attempts need.

    The Attempt that lost a node is excluded: for a moment, the training-operator may recreate pods of a job that has
    just failed, from its stale cache.
    """
    rows = {row["trial"]: row for row in status["trials"]}
    excluded = f"{rows[LOSES_NODE.trial]['job'].removesuffix('-2')}-1-"
    created = [name for name in finisher.created() if not name.startswith(excluded)]
    expected = sum(pods_of(row["devices"]) * row["attempt"] for row in rows.values())
    assert len(created) == len(set(created)) == expected - pods_of(rows[LOSES_NODE.trial]["devices"])


def assert_the_next_attempt_waited_for(victim: str, finisher: PodFinisher) -> None:
    """Checks that the dead node's devices counted as held until its pod was gone."""
    following = re.sub(r"-1-(master|worker)-\d+$", "-2-", victim)
    after = next(index for index, (_, name) in enumerate(finisher.history) if name.startswith(following))
    assert finisher.history.index(("DELETED", victim)) < after


def assert_the_points_are_the_table(points: list[dict[str, Any]]) -> None:
    assert [(row["devices"], Decimal(row["imagesPerSecond"])) for row in points] == [
        (row.devices, row.rate) for row in seed.TABLE
    ]
    first = seed.TABLE[0]
    for point, row in zip(points, seed.TABLE, strict=True):
        hours = Fraction(seed.IMAGES) / Fraction(row.rate) / SECONDS_PER_HOUR
        assert_is(point["days"], hours / 24)
        assert_is(point["deviceHours"], hours * row.devices)
        assert_is(point["cost"], hours * row.devices * Fraction(seed.PRICE))
        assert_is(point["imagesPerSecondPerDevice"], Fraction(row.rate) / row.devices)
        per_device = Fraction(row.rate) / row.devices
        assert_is(point["scalingEfficiency"], per_device / (Fraction(first.rate) / first.devices))
        assert_differs_by_rounding_only(point, row)


def assert_is(text: str, exact: Fraction) -> None:
    """Checks that a number of the status equals the exact value, rounded to six decimals."""
    assert abs(Fraction(text) - exact) <= Fraction(5, 10**7), (text, float(exact))


def assert_differs_by_rounding_only(point: dict[str, Any], row: seed.Row) -> None:
    """Checks that cells differ by no more than the table's rounding: half an hour, then half of the last digit."""
    days, hours, cost = (abs(Fraction(point[key]) - Fraction(value)) for key, value in _cells(row))
    assert days <= HALF_AN_HOUR / 24 + Fraction(5, 1_000)
    assert hours <= 1
    step = 1_000 if row.cost < 100_000 else 5_000
    assert cost <= HALF_AN_HOUR * row.devices * Fraction(seed.PRICE) + Fraction(step, 2)


def _cells(row: seed.Row) -> tuple[tuple[str, Decimal], ...]:
    return (("days", row.days), ("deviceHours", row.device_hours), ("cost", row.cost))


def assert_the_report_is_the_table(benchmark: StoredBenchmark, spread: str = "") -> None:
    """Checks every cell of the report, to its displayed digits; with repeats it also shows their spread."""
    shown = printed(benchmark.plane, "report", benchmark.name, "-n", benchmark.namespace)
    lines = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines()]
    heading = next(index for index, line in enumerate(lines) if line[0] == "Devices")
    body = [line for line in lines[heading + 1 :] if line[0].isdigit()]
    columns = {name: [line[index] for line in body] for index, name in enumerate(lines[heading])}
    assert [len(line) for line in body] == [len(lines[heading])] * len(seed.TABLE)
    assert columns["Devices"] == ["8", "16", "32", "64", "128", "256"]
    rates = ("128.2", "254.0", "485.7", "912.2", "1,618.4", "2,589.4")
    assert columns["Images/s"] == [f"{rate}{spread}" for rate in rates]
    assert columns["Efficiency"] == ["100.0 %", "99.1 %", "94.7 %", "88.9 %", "78.9 %", "63.1 %"]
    assert columns["Days"] == ["258.84", "130.64", "68.32", "36.38", "20.50", "12.81"]
    assert columns["Device-hours"] == ["49,697", "50,166", "52,470", "55,875", "62,987", "78,735"]
    assert columns["Cost"] == ["99,393", "100,332", "104,939", "111,749", "125,974", "157,469"]
    assert "would take 12.81 days and cost 157,469" in shown
    assert "Pass" in shown


def assert_the_rounding_of_the_table_gives_its_cells(plane: ControlPlane, points: list[dict[str, Any]]) -> None:
    """Checks that `sdbench project --seed-rounding` turns the status' rates into every cell of the table."""
    for point, row in zip(points, seed.TABLE, strict=True):
        given = ("--devices", str(point["devices"]), "--images-per-second", point["imagesPerSecond"])
        projection = ("--images", str(seed.IMAGES), "--price", str(seed.PRICE), "--seed-rounding", "--format", "json")
        made = json.loads(printed(plane, "project", *given, *projection))
        assert {key: Decimal(value) for key, value in made.items()} == dict(_cells(row))
