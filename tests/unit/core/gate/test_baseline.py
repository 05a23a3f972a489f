"""Tests the comparison with a baseline: by its interval, and only where both sides compare."""

from decimal import Decimal
from typing import Any

import pytest

from sdbench.api.status import ConditionType, PointRow
from sdbench.api.status_gate import GateRow, Limit, Verdict
from sdbench.core.snapshot import Reference
from unit.core.gate.gates import BASELINE, answer, asked, baseline, complete, environment, row, verdict

PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT_DATA


def compared(new: PointRow, old: PointRow, most: str = "0.02", **gate: Any) -> GateRow:
    """The verdict of one Point against the baseline's."""
    return verdict(answer(asked({"baseline": {"name": BASELINE, "maxRegression": most}, **gate}), new), baseline(old))


def test_noise_is_not_reported_as_a_regression() -> None:
    """A mean 1 % lower, of three repeats each at a CV of 1 %, decides nothing at a limit of 2 %, nor at 0."""
    for most in ("0.02", "0"):
        made = compared(row(rate="99", spread="1"), row(rate="100", spread="1"), most)
        assert made.verdict is INSUFFICIENT
        assert "contains the limit" in made.message
        assert "more repeats" in made.message


@pytest.mark.parametrize(
    ("rate", "spread", "expected"),
    [
        ("90", "1", FAIL),  # 10 % ± 2.3 %
        ("95.71", "1", FAIL),  # the low end is 2.02 %
        ("95.75", "1", INSUFFICIENT),  # the low end is 1.98 %
        ("100.28", "1", PASS),  # the high end is 1.99 %
        ("100.25", "1", INSUFFICIENT),  # the high end is 2.02 %
        ("110", "1", PASS),
        ("98", "0", PASS),  # without spread the interval is a point, and the limit itself passes
        ("97.99", "0", FAIL),
    ],
)
def test_a_regression_is_judged_by_its_interval(rate: str, spread: str, expected: Verdict) -> None:
    assert compared(row(rate=rate, spread=spread), row(rate="100", spread=spread)).verdict is expected


def test_a_loss_of_exactly_the_limit_passes_despite_binary_rounding() -> None:
    assert compared(row(rate="2.94", spread="0"), row(rate="3", spread="0")).verdict is PASS
    assert compared(row(rate="2.9399999999", spread="0"), row(rate="3", spread="0")).verdict is FAIL


def test_the_comparison_is_stored_with_the_verdict() -> None:
    made = compared(row(rate="90", spread="1"), row(rate="100", spread="2"))
    assert made.baseline is not None
    assert (made.baseline.name, made.baseline.uid) == (BASELINE, "baseline-uid")
    (kept,) = made.baseline.points
    assert (kept.repeats, kept.images_per_second, kept.coefficient_of_variation) == (
        3,
        Decimal(90),
        Decimal("0.011111"),
    )
    assert (kept.baseline_repeats, kept.baseline_images_per_second) == (3, Decimal(100))
    assert kept.baseline_coefficient_of_variation == Decimal("0.02")
    assert float(kept.regression) == pytest.approx(0.1)
    assert float(kept.regression_low) < 0.1 < float(kept.regression_high)
    assert made.findings[0].limit is Limit.REGRESSION


OTHER: dict[str, tuple[tuple[Reference, ...], str]] = {
    "it is not known": ((), "does not exist"),
    "it does not exist": (
        (Reference(BASELINE, absence="does not exist in namespace lab"),),
        "does not exist in namespace lab",
    ),
    "it measures another count": ((baseline(row(2), of=asked(counts=(2,))),), "is not measured"),
    "it is partly measured": ((baseline(row(repeats=2)),), f"in Benchmark {BASELINE}, 2 of 3 repeats"),
    "it was disturbed": ((baseline(row(disturbed_repeats=1)),), "disturbed"),
    "it is mixed": ((baseline(row(mixed="versions")),), "mixed: versions"),
    "it has one repeat": ((baseline(row(repeats=1, spread=None), of=asked(repeats=1)),), "needs 2 repeats"),
    "its spread is not known": ((baseline(row(spread=None)),), "its spread is not known"),
    "it has no rate": (
        (baseline(row().model_copy(update={"median_images_per_second": Decimal(0)})),),
        "its rate is not known",
    ),
    "it has another image size": (
        (baseline(row(), of=asked(trainer={"imageSize": 256})),),
        "its imageSize is 512, the baseline's is 256",
    ),
    "it has another model": (
        (baseline(row(), of=asked(trainer={"model": "sd2-base"})),),
        "its model is tiny, the baseline's is sd2-base",
    ),
    "it ran another batch": ((baseline(row(global_batch_size=16)),), "its globalBatchSize is 8, the baseline's is 16"),
    "its device is not known": ((baseline(row(), on={"devices=1": environment(device="")}),), "on which device"),
}


@pytest.mark.parametrize(("others", "said"), OTHER.values(), ids=OTHER.keys())
@pytest.mark.parametrize("rate", ["1", "1000"])
def test_an_incomparable_baseline_decides_nothing(others: tuple[Reference, ...], said: str, rate: str) -> None:
    made = verdict(answer(asked({"baseline": {"name": BASELINE}}), row(rate=rate, spread="0")), *others)
    assert made.verdict is INSUFFICIENT
    assert said in made.message


@pytest.mark.parametrize(
    ("kind", "said"), [(ConditionType.FAILED, "has failed"), (ConditionType.RUNNING, "is not complete yet")]
)
def test_a_baseline_that_is_not_complete_decides_nothing(kind: ConditionType, said: str) -> None:
    other = answer(asked(), row(), name=BASELINE)
    status = other.status.model_copy(update={"conditions": (complete(kind),)})
    unfinished = Reference(BASELINE, other.model_copy(update={"status": status}))
    made = verdict(answer(asked({"baseline": {"name": BASELINE}}), row()), unfinished)
    assert made.verdict is INSUFFICIENT
    assert said in made.message


def test_a_single_new_repeat_is_not_compared() -> None:
    once = answer(asked({"baseline": {"name": BASELINE}}, repeats=1), row(repeats=1, spread=None))
    made = verdict(once, baseline(row()))
    assert made.verdict is INSUFFICIENT
    assert "needs 2 repeats" in made.message
