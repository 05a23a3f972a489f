"""What do several repeats of one measurement say together? n, mean, spread, and how sure the mean is.

The t-interval is mean ± t · sd / √n with the 97.5 % quantile of Student's distribution on n - 1 degrees of freedom.
For whole degrees of freedom the distribution is a finite sum (Abramowitz & Stegun 26.7.3 and 26.7.4), so that its
quantile needs no table: it is bisected to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import atan, cos, pi, sin, sqrt
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """Repeats of one measurement, in its unit; what needs two of them is None for one."""

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


def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t with `confidence` of Student's distribution within ±t, on whole degrees of freedom ≥ 1."""
    low, high = 0.0, 1.0
    while t_share(high, freedom) < confidence:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        if t_share(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return middle


def t_share(t: float, freedom: int) -> float:
    """The share of Student's distribution within ±t."""
    if freedom < 1:
        raise ValueError("Student's distribution needs at least one degree of freedom")
    angle = atan(t / sqrt(freedom))
    if freedom == 1:
        return 2 * angle / pi
    first = freedom % 2 + 1
    term = cos(angle) if freedom % 2 else 1.0
    total = term
    for order in range(first, freedom - 2, 2):
        term *= order / (order + 1) * cos(angle) ** 2
        total += term
    return 2 / pi * (angle + sin(angle) * total) if freedom % 2 else sin(angle) * total
