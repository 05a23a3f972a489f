"""Is one measurement slower than another, or is it noise? Welch's interval of the difference of two means.

    difference = m₁ − m₂,  s² = s₁²/n₁ + s₂²/n₂,  ν = s⁴ / ((s₁²/n₁)²/(n₁ − 1) + (s₂²/n₂)²/(n₂ − 1))
    interval = difference ± t(ν; 97.5 %) · s          (B. L. Welch, Biometrika 34, 1947; ν after Satterthwaite, 1946)

The two may have different spreads and numbers of repeats. ν need not be whole.
"""

from dataclasses import dataclass
from math import sqrt

from sdbench.core.measure.student import t_quantile


@dataclass(frozen=True)
class RepeatStatistics:
    """What is known of the repeats of one measurement: how many, their mean and standard deviation in its unit."""

    size: int
    mean: float
    standard_deviation: float


@dataclass(frozen=True)
class Interval:
    """A value with its two-sided 95 % interval."""

    value: float
    low: float
    high: float


def mean_difference(one: RepeatStatistics, other: RepeatStatistics) -> Interval:
    """The mean of one minus that of the other; raises ValueError for fewer than two repeats of either."""
    if min(one.size, other.size) < 2:
        raise ValueError("a spread needs 2 repeats")
    value = one.mean - other.mean
    first, second = (each.standard_deviation**2 / each.size for each in (one, other))
    if first + second == 0:
        return Interval(value, value, value)
    largest = max(first, second)  # of which the shares are taken, so that no square underflows
    shares = (first / largest) ** 2 / (one.size - 1) + (second / largest) ** 2 / (other.size - 1)
    freedom = ((first + second) / largest) ** 2 / shares
    reach = t_quantile(freedom) * sqrt(first + second)
    return Interval(value, value - reach, value + reach)


def regression(new: RepeatStatistics, baseline: RepeatStatistics) -> Interval:
    """(baseline − new) / baseline of two rates: above 0 the new one is slower.

    The interval is that of the difference over the baseline's mean, which is taken as it is. Raises ValueError for
    fewer than two repeats, or a baseline without a rate.
    """
    if not baseline.mean > 0:
        raise ValueError(f"a baseline of {baseline.mean} compares with nothing")
    slower = mean_difference(baseline, new)
    return Interval(slower.value / baseline.mean, slower.low / baseline.mean, slower.high / baseline.mean)
