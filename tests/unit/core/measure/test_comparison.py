"""Tests Welch's interval against textbook values and values computed with 40 digits."""

from math import sqrt
from statistics import mean, stdev

import pytest

from sdbench.core.measure.statistics import Interval, Sample, mean_difference, regression, t_quantile, t_share

SLEEP = (
    (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0),
    (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4),
)
"""Student's own data of 1908; R's manual prints the interval -3.3654832, 0.2054832 (t.test, df = 17.776)."""

WELCH = {
    "Student's sleep data": (*SLEEP, -3.36548323071171, 0.205483230711711),
    "unequal sizes": ((1.0, 2.0), (10.0, 14.0, 13.0, 15.0), -14.8425522184454, -8.15744778155465),
    "three against three": ((98.0, 101.0, 100.0), (100.0, 102.0, 104.5), -7.11268661588138, 2.11268661588138),
}

QUANTILES = {
    # For real degrees of freedom, computed with 40 digits.
    0.5: 164.557673480488,
    1.7: 5.11883898825305,
    2.5: 3.57465484200368,
    3.93: 2.79605764505781,
    10.3: 2.21937337551588,
    27.4: 2.05042986376961,
    1000.5: 1.96233789245915,
}


def repeats(*values: float) -> Sample:
    return Sample(len(values), mean(values), stdev(values))


@pytest.mark.parametrize(("one", "other", "low", "high"), WELCH.values(), ids=WELCH.keys())
def test_the_interval_is_welchs(one: tuple[float, ...], other: tuple[float, ...], low: float, high: float) -> None:
    found = mean_difference(repeats(*one), repeats(*other))
    assert found.value == pytest.approx(mean(one) - mean(other), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("freedom", "quantile"), QUANTILES.items())
def test_t_quantiles_are_right_for_real_degrees_of_freedom(freedom: float, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, rel=1e-11)
    assert t_share(quantile, freedom) == pytest.approx(0.95, abs=1e-12)


@pytest.mark.parametrize("freedom", [0.0, -1.0, float("nan")])
def test_without_degrees_of_freedom_there_is_no_quantile(freedom: float) -> None:
    with pytest.raises(ValueError, match="more than 0 degrees of freedom"):
        t_share(1.0, freedom)


def test_equal_spreads_and_sizes_add_up_their_degrees_of_freedom() -> None:
    found = mean_difference(Sample(3, 99.0, 1.0), Sample(3, 100.0, 1.0))
    reach = t_quantile(4) * sqrt(2 / 3)
    assert (found.value, found.low, found.high) == pytest.approx((-1, -1 - reach, reach - 1), abs=1e-12)


def test_one_side_without_spread_leaves_the_other_its_own_degrees_of_freedom() -> None:
    found = mean_difference(Sample(3, 100.0, 0.0), Sample(4, 100.0, 2.0))
    assert found.high == pytest.approx(t_quantile(3) * 1.0, abs=1e-12)


def test_an_interval_without_any_spread_is_a_point() -> None:
    assert mean_difference(Sample(2, 5.0, 0.0), Sample(9, 3.0, 0.0)) == Interval(2.0, 2.0, 2.0)


def test_a_tiny_spread_does_not_vanish() -> None:
    found = mean_difference(Sample(2, 5.0, 1e-120), Sample(2, 5.0, 1e-120))
    assert found.high == pytest.approx(t_quantile(2) * 1e-120, rel=1e-9)


def test_a_regression_is_relative_to_the_baseline_and_an_improvement_is_negative() -> None:
    slower = regression(Sample(3, 90.0, 0.0), Sample(3, 100.0, 0.0))
    assert (slower.value, slower.low, slower.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-12)
    assert regression(Sample(3, 120.0, 1.0), Sample(3, 100.0, 1.0)).high < 0


@pytest.mark.parametrize("sizes", [(1, 3), (3, 1), (0, 2)])
def test_a_single_repeat_cannot_be_compared(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="2 repeats"):
        mean_difference(Sample(sizes[0], 1.0, 0.1), Sample(sizes[1], 1.0, 0.1))


@pytest.mark.parametrize("rate", [0.0, float("nan")])
def test_a_baseline_without_a_rate_cannot_be_compared(rate: float) -> None:
    with pytest.raises(ValueError, match="compares with nothing"):
        regression(Sample(2, 1.0, 0.1), Sample(2, rate, 0.1))
