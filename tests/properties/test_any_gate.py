"""Tests that a gate passes only if nothing is missing, and fails only by a number that may be judged."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sdbench.api.status_gate import Verdict
from sdbench.core.measure.statistics import Sample, regression
from unit.core.gate.gates import BASELINE, answer, asked, baseline, row, verdict

SPOILT: tuple[dict[str, Any], ...] = (
    {"repeats": 1},
    {"disturbed_repeats": 1},
    {"mixed": "image"},
    {"median_images_per_second": Decimal("NaN")},
)
COUNTS = (1, 2, 4)
points = st.fixed_dictionaries(
    {"rate": st.integers(90, 110), "days": st.none() | st.integers(1, 9), "spoilt": st.none() | st.sampled_from(SPOILT)}
)


@given(st.dictionaries(st.sampled_from(COUNTS), points), st.integers(89, 111), st.integers(1, 9))
def test_pass_means_that_every_number_is_there_and_holds(
    measured: dict[int, dict[str, Any]], least: int, days: int
) -> None:
    rows = [
        row(
            count, str(one["rate"]), days=None if one["days"] is None else Decimal(one["days"]), **(one["spoilt"] or {})
        )
        for count, one in sorted(measured.items())
    ]
    made = verdict(answer(asked({"minImagesPerSecond": str(least), "maxDays": str(days)}, COUNTS), *rows))
    nan = {count for count, one in measured.items() if one["spoilt"] == SPOILT[3]}
    judgeable = {count: one for count, one in measured.items() if one["spoilt"] is None or count in nan}
    slow = {count for count, one in judgeable.items() if count not in nan and one["rate"] < least}
    long = {count for count, one in judgeable.items() if one["days"] is not None and one["days"] > days}
    whole = {count for count, one in judgeable.items() if count not in nan and one["days"] is not None}
    expected = Verdict.FAIL if slow | long else Verdict.PASS if whole == set(COUNTS) else Verdict.INSUFFICIENT_DATA
    assert made.verdict is expected
    assert made.failed == len(slow) + len(long)
    assert made.passed + made.failed + made.insufficient == 2 * len(COUNTS)


rates = st.integers(1, 10**6).map(str)
spreads = st.integers(0, 10**4).map(str)


@given(rates, spreads, rates, spreads)
def test_a_regression_fails_and_passes_by_its_whole_interval(new: str, noise: str, old: str, old_noise: str) -> None:
    gate = {"baseline": {"name": BASELINE, "maxRegression": "0.02"}}
    made = verdict(answer(asked(gate), row(rate=new, spread=noise)), baseline(row(rate=old, spread=old_noise)))
    found = regression(Sample(3, float(new), float(noise)), Sample(3, float(old), float(old_noise)))
    assert found.low <= found.value <= found.high
    assert (made.verdict is Verdict.FAIL) == (round(found.low, 12) > 0.02)
    assert (made.verdict is Verdict.PASS) == (round(found.high, 12) <= 0.02)
