"""Which t holds a given share of Student's distribution? For any real degrees of freedom, as Welch's test needs them.

    share within ±t = 1 − I(ν / (ν + t²); ν / 2, 1 / 2)

I is the regularised incomplete beta function, by its continued fraction (NIST Digital Library of Mathematical
Functions, 8.17.22) in Lentz's way, and by its symmetry where the fraction is slow. The quantile is bisected to the
last bit, so that no table is needed.
"""

from functools import lru_cache
from math import exp, lgamma, log

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
