"""Computes statistics of repeats: mean, spread, t-interval, and Welch's interval of a difference.

The t-interval is mean ± t · sd / √n with the 97.5 % quantile of Student's distribution on n - 1 degrees of freedom.

The t quantile is computed for any real degrees of freedom, as Welch's test needs them:

    share within ±t = 1 − I(ν / (ν + t²); ν / 2, 1 / 2)

I is the regularised incomplete beta function, by its continued fraction (NIST Digital Library of Mathematical
Functions, 8.17.22) in Lentz's way.

Two measurements are compared by Welch's interval of the difference of their means:

    difference = m₁ − m₂,  s² = s₁²/n₁ + s₂²/n₂,  ν = s⁴ / ((s₁²/n₁)²/(n₁ − 1) + (s₂²/n₂)²/(n₂ − 1))
    interval = difference ± t(ν; 97.5 %) · s          (B. L. Welch, Biometrika 34, 1947; ν after Satterthwaite, 1946)

The two may have different spreads and numbers of repeats. ν need not be whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import exp, lgamma, log, sqrt
from statistics import fmean, stdev


@dataclass(frozen=True)
class Sample:
    """Statistics of the repeats of one measurement, in its unit; those that need two repeats are None for one."""

    size: int
    mean: float
    standard_deviation: float | None = None
    coefficient_of_variation: float | None = None
    """Standard deviation over mean; None where the mean is 0."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % t-interval of the mean."""


def sample(values: Sequence[float | Decimal]) -> Sample:
    """The statistics of at least one value; raises ValueError for none."""
    if not values:
        raise ValueError("statistics need at least one value")
    numbers = [float(value) for value in values]
    size, mean = len(numbers), fmean(numbers)
    if size == 1:
        return Sample(size, mean)
    spread = stdev(numbers)
    reach = t_quantile(size - 1) * spread / sqrt(size)
    return Sample(size, mean, spread, spread / mean if mean else None, mean - reach, mean + reach)


CONFIDENCE = 0.95
TERMS = 20_000
"""Most terms of the fraction; it needs about the square root of the larger parameter."""

SMALLEST = 1e-300
PRECISION = 3e-16


@lru_cache(maxsize=1024)  # every pass over a Benchmark asks for the same few
def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The t with `confidence` of Student's distribution within ±t; raises ValueError without degrees of freedom."""
    low, high = 0.0, 1.0
    while t_share(high, freedom) < confidence:
        high *= 2
    # Bisected to the last bit, so that no table is needed.
    while (middle := (low + high) / 2) not in (low, high):
        if t_share(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return middle


def t_share(t: float, freedom: float) -> float:
    """The share of Student's distribution within ±t."""
    if not freedom > 0:
        raise ValueError("Student's distribution needs more than 0 degrees of freedom")
    whole = freedom + t * t
    return 1 - _incomplete_beta(freedom / whole, t * t / whole, freedom / 2, 0.5)


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I(x; a, b), 0 ≤ x ≤ 1; `rest` is 1 − x, which near 1 is known better than it can be computed."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    # By symmetry, since the fraction is slow on this side.
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction 1 / (1 + d₁ / (1 + d₂ / …))."""
    c, d = 1.0, 1.0 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > SMALLEST else SMALLEST


@dataclass(frozen=True)
class Interval:
    """A value with its two-sided 95 % interval."""

    value: float
    low: float
    high: float


def mean_difference(one: Sample, other: Sample) -> Interval:
    """The mean of one minus that of the other; raises ValueError for fewer than two repeats of either."""
    if min(one.size, other.size) < 2:
        raise ValueError("a spread needs 2 repeats")
    value = one.mean - other.mean
    first, second = ((each.standard_deviation or 0.0) ** 2 / each.size for each in (one, other))
    if first + second == 0:
        return Interval(value, value, value)
    largest = max(first, second)  # of which the shares are taken, so that no square underflows
    shares = (first / largest) ** 2 / (one.size - 1) + (second / largest) ** 2 / (other.size - 1)
    freedom = ((first + second) / largest) ** 2 / shares
    reach = t_quantile(freedom) * sqrt(first + second)
    return Interval(value, value - reach, value + reach)


def regression(new: Sample, baseline: Sample) -> Interval:
    """(baseline − new) / baseline of two rates: above 0 the new one is slower.

    The interval is that of the difference over the baseline's mean, which is taken as it is. Raises ValueError for
    fewer than two repeats, or a baseline without a rate.
    """
    if not baseline.mean > 0:
        raise ValueError(f"a baseline of {baseline.mean} compares with nothing")
    slower = mean_difference(baseline, new)
    return Interval(slower.value / baseline.mean, slower.low / baseline.mean, slower.high / baseline.mean)
