"""Compares two implementations on a noisy machine: they take turns, and the median of the turns' ratios counts.

A pair is one run of each implementation, back to back, so that a slow spell affects both; which goes first alternates.
The interval lies between two order statistics and covers the median with a probability of at least 95 % for any
distribution (with six values: from the smallest to the largest).
"""

import gc
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pair:
    """The duration of one turn of each implementation, or another value of it."""

    plain: float
    ours: float


@dataclass(frozen=True)
class Estimate:
    """A median, and its interval if there are enough values for one."""

    value: float
    low: float | None = None
    high: float | None = None


def interleaved(
    plain: Callable[[], float], ours: Callable[[], float], pairs: int, report_progress: Callable[[str], None]
) -> tuple[Pair, ...]:
    """The results of this many turns, after one more turn that only warms up."""
    measured = []
    for turn in range(pairs + 1):
        report_progress(f"pair {turn} of {pairs}" if turn else "warm-up")
        gc.collect()
        if turn % 2:
            first = plain()
            measured.append(Pair(plain=first, ours=ours()))
        else:
            first = ours()
            measured.append(Pair(plain=plain(), ours=first))
    return tuple(measured[1:])


def estimate(values: Iterable[float]) -> Estimate:
    """The median, with the tightest symmetric interval of order statistics that covers it with CONFIDENCE."""
    ordered = sorted(values)
    outside = outside_of(len(ordered))
    if outside is None:
        return Estimate(median(ordered))
    return Estimate(median(ordered), ordered[outside], ordered[-1 - outside])


def outside_of(count: int) -> int | None:
    """The number of sorted values to leave out at each end; None if there are too few values for an interval.

    The median lies below the (k+1)-th smallest of n values with the probability that at most k of n coins show heads.
    """
    left_out, tail = None, 0.0
    for heads in range(count // 2 + 1):
        tail += math.comb(count, heads) / 2**count
        if 2 * tail > 1.0 - CONFIDENCE:
            break
        left_out = heads
    return left_out


def times_faster(pairs: Sequence[Pair]) -> Estimate:
    """The ratio plain / ours of durations."""
    return estimate(pair.plain / pair.ours for pair in pairs)


def times_larger(pairs: Sequence[Pair]) -> Estimate:
    """The ratio ours / plain."""
    return estimate(pair.ours / pair.plain for pair in pairs)
