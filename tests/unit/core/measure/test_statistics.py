"""Tests the statistics of repeats to a precision of 1e-9."""

from math import sqrt

import pytest

from sdbench.core.measure.statistics import sample, t_quantile, t_share

QUANTILES = {
    # 97.5 % quantiles of Student's distribution, with the digits of published tables.
    1: 12.706204736432,
    2: 4.302652729696,
    3: 3.182446305284,
    4: 2.776445105198,
    5: 2.570581835636,
    9: 2.262157162798,
    10: 2.228138851965,
    29: 2.045229642133,
    30: 2.042272456301,
    99: 1.984216951564,
}


@pytest.mark.parametrize(("freedom", "quantile"), QUANTILES.items())
def test_t_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, rel=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 8, 50, 99])
def test_the_quantile_inverts_the_share(freedom: int) -> None:
    assert t_share(t_quantile(freedom, 0.99), freedom) == pytest.approx(0.99, abs=1e-12)


def test_two_degrees_of_freedom_have_a_closed_form() -> None:
    assert t_quantile(2) == pytest.approx(0.95 * sqrt(2 / (1 - 0.95**2)), rel=1e-12)


def test_the_statistics_of_five_repeats() -> None:
    found = sample([98.0, 101.0, 100.0, 99.0, 102.0])
    assert found.size == 5
    assert found.mean == 100
    assert found.standard_deviation == pytest.approx(sqrt(2.5), abs=1e-12)
    assert found.coefficient_of_variation == pytest.approx(sqrt(2.5) / 100, abs=1e-12)
    assert found.low == pytest.approx(100 - 2.7764451051977987 * sqrt(0.5), abs=1e-9)
    assert found.high == pytest.approx(100 + 2.7764451051977987 * sqrt(0.5), abs=1e-9)


def test_one_repeat_has_no_spread() -> None:
    found = sample([7.0])
    assert (found.size, found.mean, found.standard_deviation, found.low) == (1, 7.0, None, None)


def test_equal_repeats_have_a_spread_of_zero() -> None:
    found = sample([5.0, 5.0, 5.0])
    assert (found.standard_deviation, found.coefficient_of_variation, found.low, found.high) == (0, 0, 5, 5)


def test_an_empty_sample_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sample([])
