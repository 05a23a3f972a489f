"""How long and how dear is a full training at a measured rate?

    days = Σ stage.images / stage.images_per_second / 86,400
    device-hours = devices × 24 × days
    cost = device-hours × hourly price

Everything is a Decimal, unrounded. `Rounding.SEED` reproduces the table that this project starts from, whose 8-to-256
A100 rows give 2,867,000,000 images at $2 per hour. Its rules are not published; these fit all of its cells:

* days: the wall clock in whole hours first, over 24, halves up to 0.01 days;
* device-hours: halves up to whole ones from the unrounded wall clock, unless whole hours × devices is less than one
  device-hour away, and is then taken (49,696 in the first row, where the first rule alone gives 49,697);
* cost: whole hours × devices × price, to the nearest 1,000 below 100,000 and to the nearest 5,000 from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import Enum

SECONDS_PER_HOUR = 3_600
HOURS_PER_DAY = 24
DIGITS = 50
"""Of a division; sums of stages then stay exact far beyond what is shown."""


class Rounding(Enum):
    """How a projection is rounded."""

    NONE = "none"
    SEED = "seed"


@dataclass(frozen=True)
class Stage:
    """A part of a training at one rate."""

    images: int
    images_per_second: Decimal


@dataclass(frozen=True)
class ProjectedTraining:
    """A full training."""

    days: Decimal
    device_hours: Decimal
    cost: Decimal


def project(
    stages: Sequence[Stage], devices: int, hourly_price: Decimal, rounding: Rounding = Rounding.NONE
) -> ProjectedTraining:
    """The full training on that many devices; raises ValueError for a rate that is not positive."""
    with localcontext() as context:
        context.prec = DIGITS
        hours = sum((_hours(stage) for stage in stages), Decimal(0))
        if rounding is Rounding.SEED:
            return _as_in_the_seed(hours, devices, hourly_price)
        return ProjectedTraining(hours / HOURS_PER_DAY, hours * devices, hours * devices * hourly_price)


def _hours(stage: Stage) -> Decimal:
    if stage.images_per_second <= 0:
        raise ValueError(f"a rate of {stage.images_per_second} images per second never ends")
    return Decimal(stage.images) / stage.images_per_second / SECONDS_PER_HOUR


def _as_in_the_seed(hours: Decimal, devices: int, hourly_price: Decimal) -> ProjectedTraining:
    whole = _nearest(hours, Decimal(1))
    days = _nearest(whole / HOURS_PER_DAY, Decimal("0.01"))
    exact, booked = hours * devices, whole * devices
    device_hours = booked if abs(exact - booked) < 1 else _nearest(exact, Decimal(1))
    cost = booked * hourly_price
    return ProjectedTraining(days, device_hours, _nearest(cost, Decimal(1_000 if cost < 100_000 else 5_000)))


def _nearest(value: Decimal, unit: Decimal) -> Decimal:
    """The nearest multiple of the unit, halves up."""
    return (value / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP) * unit
