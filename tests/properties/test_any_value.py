"""Tests that published values fit the schema, and that statistics and projection agree, for any measurement."""

import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sdbench.core.format import CONDITION_CHARACTERS, bounded, decimal
from sdbench.core.measure.projection import Stage, project_training
from sdbench.core.measure.statistics import sample
from sdbench_trainer.config import DECIMAL_PATTERN

rates = st.floats(min_value=1e-6, max_value=1e9, allow_nan=False)
images = st.integers(1, 10**15)
prices = st.decimals(0, 10**6, places=2)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False), st.integers(0, 9))
def test_every_number_fits_the_schema(value: float, places: int) -> None:
    written = format(decimal(value, places), "f")
    assert re.fullmatch(DECIMAL_PATTERN, written)
    assert len(written) <= 24


@given(st.text(max_size=3_000))
def test_every_text_fits_the_schema(text: str) -> None:
    assert len(bounded(text, CONDITION_CHARACTERS)) <= CONDITION_CHARACTERS
    assert "\n" not in bounded(text)


@given(st.lists(rates, min_size=2, max_size=20))
def test_the_mean_is_inside_of_its_interval(values: list[float]) -> None:
    found = sample(values)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean <= found.high
    assert min(values) * (1 - 1e-12) <= found.mean <= max(values) * (1 + 1e-12)


@given(images, rates, st.integers(1, 65_536), prices)
def test_device_hours_and_cost_follow_from_the_days(count: int, rate: float, devices: int, price: Decimal) -> None:
    made = project_training([Stage(count, Decimal(repr(rate)))], devices, price)
    tiny = Decimal("1e-20")
    assert abs(made.device_hours - made.days * 24 * devices) <= made.device_hours * tiny
    assert abs(made.cost - made.device_hours * price) <= made.cost * tiny


@given(images, images, rates, st.integers(1, 1_000), prices)
def test_two_stages_at_one_rate_are_one(one: int, other: int, rate: float, devices: int, price: Decimal) -> None:
    speed = Decimal(repr(rate))
    parts = project_training([Stage(one, speed), Stage(other, speed)], devices, price)
    whole = project_training([Stage(one + other, speed)], devices, price)
    assert abs(parts.days - whole.days) <= whole.days * Decimal("1e-20")
