"""Compares two ways on a noisy machine: in turns, by the median of the turns' ratios.

A pair is one run of the plain way and one of ours, right after each other, so that a slow spell hits both; which goes
first alternates. The interval is that between two order statistics, which covers the median with at least 95 % whatever
the distribution (of six values: the smallest and the largest).
"""

import gc
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pair:
    """What one turn of each way took, or whatever else was measured of it."""

    plain: float
    ours: float


@dataclass(frozen=True)
class Estimate:
    """A median and, where there are enough values for one, its interval."""

    value: float
    low: float | None = None
    high: float | None = None


def interleaved(
    plain: Callable[[], float], ours: Callable[[], float], pairs: int, news: Callable[[str], None]
) -> tuple[Pair, ...]:
    """The results of so many turns; one more, before them, warms up and is forgotten."""
    measured = []
    for turn in range(pairs + 1):
        news(f"pair {turn} of {pairs}" if turn else "warm-up")
        gc.collect()
        if turn % 2:
            first = plain()
            measured.append(Pair(plain=first, ours=ours()))
        else:
            first = ours()
            measured.append(Pair(plain=plain(), ours=first))
    return tuple(measured[1:])


def estimate(values: Iterable[float]) -> Estimate:
    """The median, with the tightest symmetric interval of order statistics that is sure enough."""
    ordered = sorted(values)
    outside = outside_of(len(ordered))
    if outside is None:
        return Estimate(median(ordered))
    return Estimate(median(ordered), ordered[outside], ordered[-1 - outside])


def outside_of(count: int) -> int | None:
    """How many of so many sorted values may be left out at each end; None: too few for an interval.

    The median lies below the (k+1)-th smallest value with the probability that at most k of n coins show heads.
    """
    left_out, tail = None, 0.0
    for heads in range(count // 2 + 1):
        tail += math.comb(count, heads) / 2**count
        if 2 * tail > 1.0 - CONFIDENCE:
            break
        left_out = heads
    return left_out


def times_faster(pairs: Sequence[Pair]) -> Estimate:
    """plain / ours, where both are durations."""
    return estimate(pair.plain / pair.ours for pair in pairs)


def times_larger(pairs: Sequence[Pair]) -> Estimate:
    """ours / plain."""
    return estimate(pair.ours / pair.plain for pair in pairs)
