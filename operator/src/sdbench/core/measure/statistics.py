"""What do several repeats of one measurement say together? n, mean, spread, and how sure the mean is.

The t-interval is mean ± t · sd / √n with the 97.5 % quantile of Student's distribution on n - 1 degrees of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from statistics import fmean, stdev

from sdbench.core.measure.student import t_quantile


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
