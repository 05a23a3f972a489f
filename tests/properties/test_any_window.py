"""Tests every statistic of a window against exact arithmetic and numpy's percentile."""

import math
from fractions import Fraction
from statistics import median

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbench_trainer.config import Window
from sdbench_trainer.measure.stopwatch import BLOCKS, RankWindow, block_means, measurement, rank_skew_ratio

ALONE = RankWindow(wait_seconds=0.0, forward_seconds=1.0, host_memory_peak_bytes=1)
STEP_TIMES = st.lists(st.floats(1e-4, 1e4), min_size=2, max_size=60)


@given(STEP_TIMES)
def test_any_steps_give_what_exact_arithmetic_gives(steps: list[float]) -> None:
    asked = Window(warmup_batches=1, batches=len(steps))
    result = measurement(asked, steps, 64, [ALONE], 0.5)
    exact = [Fraction(step) for step in steps]
    third = max(1, len(exact) // 3)
    drift = sum(exact[-third:]) / sum(exact[:third]) - 1
    assert result.seconds == pytest.approx(float(sum(exact)), rel=1e-9)
    assert result.images_per_second == pytest.approx(float(64 * len(exact) / sum(exact)), rel=1e-9)
    assert result.median_images_per_second == pytest.approx(float(64 / median(exact)), rel=1e-9)
    assert result.drift_ratio == pytest.approx(float(drift), rel=1e-9, abs=1e-9)


@given(STEP_TIMES)
def test_any_percentile_is_numpys(steps: list[float]) -> None:
    found = measurement(Window(warmup_batches=1, batches=len(steps)), steps, 64, [ALONE], 0.5).step_seconds
    assert [found.p5, found.p50, found.p95] == pytest.approx(numpy.percentile(steps, [5, 50, 95]).tolist(), rel=1e-9)


@given(STEP_TIMES)
def test_any_blocks_hold_every_step_once(steps: list[float]) -> None:
    means = block_means(steps)
    lengths = [len(steps) * (part + 1) // len(means) - len(steps) * part // len(means) for part in range(len(means))]
    assert len(means) == min(BLOCKS, len(steps))
    assert max(lengths) - min(lengths) <= 1
    total = math.fsum(mean * length for mean, length in zip(means, lengths, strict=True))
    assert total == pytest.approx(math.fsum(steps), rel=1e-9)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 5)), min_size=1, max_size=9))
def test_any_skew_is_what_exact_arithmetic_gives(own: list[tuple[float, float]]) -> None:
    exact = [Fraction(wait) + Fraction(forward) for wait, forward in own]
    skew = rank_skew_ratio([RankWindow(wait, forward, 1) for wait, forward in own])
    assert skew == pytest.approx(float(max(exact) / median(exact)), rel=1e-9)
