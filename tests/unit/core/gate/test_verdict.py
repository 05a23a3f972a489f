"""Tests that a gate passes only with complete data, and fails only on numbers it may judge."""

import re
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from sdbench.api.reasons import Reason
from sdbench.api.status import PointRow
from sdbench.api.status_gate import Limit, Verdict
from sdbench.core.snapshot import Reference
from unit.core.gate.gates import BASELINE, REPEATS, answer, asked, baseline, environment, row, verdict

ROOT = Path(__file__).resolve().parents[4]
PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT_DATA
WORDS = {"Pass": PASS, "Fail": FAIL, "Insufficient": INSUFFICIENT}
# The documented verdicts (docs/gates.md) for one limit at one Point, beside a baseline that passes.
MATRIX = """
                            baseline: present       missing       fewer-repeats  other-device
value-present   limit-met             Pass          Insufficient  Insufficient   Insufficient
value-present   limit-missed          Fail          Fail          Fail           Fail
value-missing   limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-missing   limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
value-NaN       limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-NaN       limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
value-partial   limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-partial   limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
value-mixed     limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-mixed     limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
"""
# The same if the baseline is the only limit, at 2 %: a rate 1 % lower meets it, a rate 10 % lower misses it.
REGRESSIONS = """
                            baseline: present       missing       fewer-repeats  other-device
value-present   limit-met             Pass          Insufficient  Insufficient   Insufficient
value-present   limit-missed          Fail          Insufficient  Insufficient   Insufficient
value-missing   limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-missing   limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
value-NaN       limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-NaN       limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
value-partial   limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-partial   limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
value-mixed     limit-met             Insufficient  Insufficient  Insufficient   Insufficient
value-mixed     limit-missed          Insufficient  Insufficient  Insufficient   Insufficient
"""


def cells(table: str) -> list[tuple[str, str, str, Verdict]]:
    """Every cell as (value, limit, baseline, verdict)."""
    head, *body = (line.split() for line in table.strip().splitlines())
    return [
        (line[0], line[1], column, WORDS[word])
        for line in body
        for column, word in zip(head[1:], line[2:], strict=True)
    ]


def documented() -> dict[tuple[str, str, str], Verdict]:
    """The verdicts in the table of docs/gates.md, by value, limit and baseline."""
    text = (ROOT / "docs" / "gates.md").read_text()
    lines = text.partition("| value | limit | baseline present |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    return {
        (f"value-{value}", f"limit-{limit}", base): Verdict(said)
        for values, limits, *verdicts in rows
        for value, limit in product(re.findall(r"present|missing|NaN|partial|mixed", values), limits.split(" or "))
        for base, said in zip(["present", "missing", "fewer-repeats", "other-device"], verdicts, strict=True)
    }


def test_the_documentation_has_the_same_verdicts() -> None:
    assert documented() == {cell[:3]: cell[3] for cell in cells(MATRIX)}


def names(table: str) -> list[str]:
    """What each cell is called."""
    return [" ".join(cell[:3]) for cell in cells(table)]


LIMITS: dict[str, tuple[Limit, str, str, str]] = {
    # setting of the gate → its name in findings, the field of the Point, a bound that is met, one that is missed
    "minImagesPerSecond": (Limit.IMAGES_PER_SECOND, "median_images_per_second", "100", "100.1"),
    "minImagesPerSecondPerDevice": (Limit.IMAGES_PER_SECOND_PER_DEVICE, "median_images_per_second", "100", "100.1"),
    "minScalingEfficiency": (Limit.SCALING_EFFICIENCY, "scaling_efficiency", "0.8", "0.81"),
    "maxCoefficientOfVariation": (
        Limit.COEFFICIENT_OF_VARIATION,
        "median_coefficient_of_variation",
        "0.01",
        "0.009",
    ),
    "maxDataWaitRatio": (Limit.DATA_WAIT_RATIO, "data_wait_ratio_max", "0.05", "0.04"),
    "minMfu": (Limit.MFU, "mfu_ratio", "0.4", "0.41"),
    "maxDays": (Limit.DAYS, "days", "50", "49.9"),
    "maxCost": (Limit.COST, "cost", "2400", "2399"),
}
OPTIONAL = {"median_coefficient_of_variation", "mfu_ratio", "days", "cost"}
"""Fields that a measured Point may lack; if another one is missing, the Point is not measured."""


def points(value: str, field: str, whole: PointRow) -> tuple[PointRow, ...]:
    """The Point with its value in this state, or no Point if it is then not measured."""
    changed: dict[str, dict[str, Any]] = {
        "value-present": {},
        "value-missing": {field: None},
        "value-NaN": {field: Decimal("NaN")},
        "value-partial": {"repeats": REPEATS - 1},
        "value-mixed": {"mixed": "device"},
    }
    if value == "value-missing" and field not in OPTIONAL:
        return ()
    return (whole.model_copy(update=changed[value]),)


def references(state: str) -> tuple[Reference, ...]:
    """The baseline in this state; its Point is as fast as the new one and has little spread."""
    return {
        "present": (baseline(row(spread="0.1")),),
        "missing": (Reference(BASELINE, absence="does not exist in namespace default"),),
        "fewer-repeats": (baseline(row(spread=None, repeats=1), of=asked(repeats=1)),),
        "other-device": (baseline(row(spread="0.1"), on={"devices=1": environment(device="H100")}),),
    }[state]


@pytest.mark.parametrize("setting", LIMITS)
@pytest.mark.parametrize(("value", "limit", "base", "expected"), cells(MATRIX), ids=names(MATRIX))
def test_a_limit_beside_a_baseline_gives_the_documented_verdict(
    setting: str, value: str, limit: str, base: str, expected: Verdict
) -> None:
    _, field, met, missed = LIMITS[setting]
    gate = {setting: met if limit == "limit-met" else missed, "baseline": {"name": BASELINE, "maxRegression": "0.05"}}
    made = verdict(answer(asked(gate), *points(value, field, row())), *references(base))
    assert made.verdict is expected
    assert made.passed + made.failed + made.insufficient == 2
    assert len(made.findings) == made.failed + made.insufficient


@pytest.mark.parametrize(("value", "limit", "base", "expected"), cells(REGRESSIONS), ids=names(REGRESSIONS))
def test_a_baseline_alone_gives_the_documented_verdict(value: str, limit: str, base: str, expected: Verdict) -> None:
    rate = "99" if limit == "limit-met" else "90"
    new = points(value, "median_images_per_second", row(rate=rate, spread="0.1"))
    made = verdict(answer(asked({"baseline": {"name": BASELINE}}), *new), *references(base))
    assert made.verdict is expected


@pytest.mark.parametrize("table", [MATRIX, REGRESSIONS])
def test_the_tables_have_every_cell(table: str) -> None:
    values = ["value-present", "value-missing", "value-NaN", "value-partial", "value-mixed"]
    bases = ["present", "missing", "fewer-repeats", "other-device"]
    assert [cell[:3] for cell in cells(table)] == list(product(values, ["limit-met", "limit-missed"], bases))


@pytest.mark.parametrize(("setting", "missed"), [(setting, limit[3]) for setting, limit in LIMITS.items()])
def test_a_failure_names_limit_value_bound_and_point(setting: str, missed: str) -> None:
    name, field, *_ = LIMITS[setting]
    made = verdict(answer(asked({setting: missed}), row()))
    (found,) = made.findings
    assert (found.limit, found.point, found.verdict) == (name, "devices=1", FAIL)
    assert found.value is not None
    assert Decimal(found.value) == getattr(row(), field)
    assert found.bound == missed
    assert made.message == found.message
    for part in (name, "devices=1", found.value, missed):
        assert part in found.message


DISQUALIFIED = {
    "disturbed": ({"disturbed_repeats": 1}, "1 of its repeats were disturbed"),
    "partly measured": ({"repeats": 2}, "2 of 3 repeats are measured"),
    "mixed": ({"mixed": "image"}, "its repeats are mixed: image"),
}


@pytest.mark.parametrize(("changes", "said"), DISQUALIFIED.values(), ids=DISQUALIFIED.keys())
@pytest.mark.parametrize("bound", ["1", "1000"])
def test_a_disqualified_point_is_not_judged_whatever_its_number(changes: dict[str, Any], said: str, bound: str) -> None:
    made = verdict(answer(asked({"minImagesPerSecond": bound}), row(**changes)))
    assert made.verdict is INSUFFICIENT
    assert said in made.message


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
def test_a_value_that_is_not_finite_is_missing(value: Decimal) -> None:
    made = verdict(answer(asked({"minImagesPerSecond": "1"}), row(median_images_per_second=value)))
    assert made.verdict is INSUFFICIENT
    assert made.findings[0].value is None


def test_a_single_repeat_has_no_spread_to_limit() -> None:
    once = asked({"maxCoefficientOfVariation": "1"}, repeats=1)
    made = verdict(answer(once, row(spread=None, repeats=1)))
    assert made.verdict is INSUFFICIENT
    assert "a spread needs 2 repeats" in made.message


def test_an_unknown_projection_says_why() -> None:
    unknown = row(days=None, cost=None, projection_message="The rate of stage 1 (256 px) is unknown: nobody knows")
    made = verdict(answer(asked({"maxDays": "1000"}), unknown))
    assert made.verdict is INSUFFICIENT
    assert "stage 1 (256 px)" in made.message


def test_every_point_of_the_plan_is_judged_unless_some_are_named() -> None:
    slow, fast = row(1, "10"), row(2, "20")
    gate = {"minImagesPerSecond": "15"}
    everything = verdict(answer(asked(gate, (1, 2)), slow, fast))
    assert (everything.verdict, everything.passed, everything.failed) == (FAIL, 1, 1)
    named = verdict(answer(asked({**gate, "devices": [2]}, (1, 2)), slow, fast))
    assert (named.verdict, named.passed) == (PASS, 1)
    absent = verdict(answer(asked({**gate, "devices": [2]}, (1, 2)), slow))
    assert absent.verdict is INSUFFICIENT


def test_a_failure_outweighs_missing_data_and_comes_first() -> None:
    made = verdict(answer(asked({"minImagesPerSecond": "15"}, (1, 2)), row(2, "10")))
    assert (made.verdict, made.failed, made.insufficient) == (FAIL, 1, 1)
    assert [found.point for found in made.findings] == ["devices=2", "devices=1"]
    assert "1 more in status.gate" in made.message


def test_16_findings_are_kept_and_all_are_counted() -> None:
    counts = tuple(range(1, 41))
    trainer = {"globalBatchSize": 1, "deviceMicrobatchSize": 1}
    of = asked({"minImagesPerSecond": "1000"}, counts, trainer=trainer, scaling="Weak")
    made = verdict(answer(of, *(row(count) for count in counts)))
    assert (made.failed, len(made.findings)) == (40, 16)


INCOMPARABLE: dict[str, tuple[tuple[PointRow, ...], dict[str, Any], str]] = {
    "another device": ((row(1), row(2)), {"device": "H100"}, "it ran on H100, the other on A100"),
    "another image": ((row(1), row(2)), {"image_id": "sha256:2"}, "different images"),
    "other versions": ((row(1), row(2)), {"versions": {"t": "2"}}, "different versions"),
    "no smallest count": ((row(2),), {}, "of devices=1, with which it is compared, it is not measured"),
    "a partly measured smallest count": ((row(1, repeats=1), row(2)), {}, "of devices=1, with which it is compared"),
    "a disturbed smallest count": ((row(1, disturbed_repeats=2), row(2)), {}, "disturbed"),
}


@pytest.mark.parametrize(("rows", "other", "said"), INCOMPARABLE.values(), ids=INCOMPARABLE.keys())
def test_an_efficiency_of_incomparable_points_is_not_judged(
    rows: tuple[PointRow, ...], other: dict[str, Any], said: str
) -> None:
    on = {"devices=2": environment(**other)}
    for bound in ("0.1", "0.9"):
        gate = {"devices": [2], "minScalingEfficiency": bound}
        made = verdict(answer(asked(gate, (1, 2)), *rows, on=on))
        assert made.verdict is INSUFFICIENT
        assert said in made.message


def test_a_rate_is_judged_even_where_an_efficiency_is_not() -> None:
    gate = {"devices": [2], "minImagesPerSecond": "1"}
    made = verdict(answer(asked(gate, (1, 2)), row(1), row(2), on={"devices=2": environment(device="H100")}))
    assert made.verdict is PASS


def test_a_finding_that_cannot_be_judged_names_its_value_if_it_is_known() -> None:
    made = verdict(answer(asked({"minMfu": "0.5"}), row(disturbed_repeats=1)))
    assert made.message.startswith("Mfu of devices=1 cannot be judged (0.4, where at least 0.5 is asked for): 1 of its")


def test_a_cancelled_benchmark_is_not_judged_even_if_every_limit_holds() -> None:
    done = answer(asked({"minImagesPerSecond": "1"}), row())
    *others, last = done.status.trials
    cancelled = last.model_copy(update={"phase": "Failed", "reason": Reason.CANCELLED})
    status = done.status.model_copy(update={"trials": (*others, cancelled)})
    made = verdict(done.model_copy(update={"status": status}))
    assert (made.verdict, made.message) == (INSUFFICIENT, "The benchmark was cancelled")


def test_a_benchmark_that_has_not_ended_is_not_judged() -> None:
    done = answer(asked({"minImagesPerSecond": "1"}), row())
    *others, last = done.status.trials
    status = done.status.model_copy(update={"trials": (*others, last.model_copy(update={"phase": "Running"}))})
    assert verdict(done.model_copy(update={"status": status})).verdict is INSUFFICIENT


def test_a_benchmark_without_measurements_has_insufficient_data() -> None:
    made = verdict(answer(asked({"maxDays": "1000", "baseline": {"name": BASELINE}}, (1, 2))), baseline(row()))
    assert (made.verdict, made.passed, made.insufficient) == (INSUFFICIENT, 0, 4)
