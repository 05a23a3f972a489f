"""Projects a full training from measured rates: days, device-hours and cost.

    days = Σ stage.images / stage.images_per_second / 86,400
    device-hours = devices × 24 × days
    cost = device-hours × hourly price

Everything is a Decimal, unrounded. `Rounding.SEED` reproduces the table that this project starts from, whose 8-to-256
A100 rows give 2,867,000,000 images at $2 per hour. Its rules are not published; ours fit all of its cells.

Each stage of the training has a rate: the Point's own, that times rateRatio, or that of another Benchmark's Point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import Enum
from typing import Any

from sdbench.api.spec import Spec
from sdbench.api.spec_projection import Projection, ProjectionStage
from sdbench.api.status import PointRow
from sdbench.core.format import SECONDS_PER_HOUR, bounded, decimal
from sdbench.core.measure.environments import RunEnvironment, device_difference, disqualification, environments_of
from sdbench.core.measure.references import CompletedBenchmark, Lookup, ReferenceUnavailable
from sdbench.core.plan.grid import Point

HOURS_PER_DAY = 24
PLACES = 6
"""Decimals of days, device-hours and cost in a status."""

DIGITS = 50
"""Digits of a division, so that sums of stages stay exact far beyond what is shown."""


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


def project_training(
    stages: Sequence[Stage], devices: int, hourly_price: Decimal, rounding: Rounding = Rounding.NONE
) -> ProjectedTraining:
    """The full training on that many devices; raises ValueError for a rate that is not positive."""
    with localcontext() as context:
        context.prec = DIGITS
        hours = Decimal(0)
        for stage in stages:
            if stage.images_per_second <= 0:
                raise ValueError(f"a rate of {stage.images_per_second} images per second never ends")
            hours += Decimal(stage.images) / stage.images_per_second / SECONDS_PER_HOUR
        if rounding is Rounding.SEED:
            return _as_in_the_seed(hours, devices, hourly_price)
        return ProjectedTraining(hours / HOURS_PER_DAY, hours * devices, hours * devices * hourly_price)


def _as_in_the_seed(hours: Decimal, devices: int, hourly_price: Decimal) -> ProjectedTraining:
    # Days: the wall clock in whole hours first, over 24, halves up to 0.01 days.
    whole = _nearest(hours, Decimal(1))
    days = _nearest(whole / HOURS_PER_DAY, Decimal("0.01"))
    # Device-hours: halves up to whole ones from the unrounded wall clock, unless whole hours × devices is less than one
    # device-hour away, and is then taken (49,696 in the first row, where the first rule alone gives 49,697).
    exact, booked = hours * devices, whole * devices
    device_hours = booked if abs(exact - booked) < 1 else _nearest(exact, Decimal(1))
    # Cost: whole hours × devices × price, to the nearest 1,000 below 100,000 and to the nearest 5,000 from there.
    cost = booked * hourly_price
    return ProjectedTraining(days, device_hours, _nearest(cost, Decimal(1_000 if cost < 100_000 else 5_000)))


def _nearest(value: Decimal, unit: Decimal) -> Decimal:
    """The nearest multiple of the unit, halves up."""
    return (value / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP) * unit


@dataclass(frozen=True)
class OwnRate:
    """A Point's own mean rate, and the environments in which it was measured."""

    rate: Decimal
    ran_on: tuple[RunEnvironment | None, ...]


def projection_fields(point: Point, own: OwnRate, spec: Spec, source: Lookup) -> dict[str, Any]:
    """The fields of a PointRow: days, device-hours and cost of the full training, or why they are unknown."""
    try:
        stages = stages_of(spec.projection, point, own, source)
    except ReferenceUnavailable as error:
        return {"projection_message": bounded(str(error))}
    full = project_training(stages, point.devices, spec.devices.hourly_price)
    values = {"days": full.days, "device_hours": full.device_hours, "cost": full.cost}
    return {name: decimal(value, PLACES) for name, value in values.items()}


def stages_of(asked: Projection, point: Point, own: OwnRate, source: Lookup) -> tuple[Stage, ...]:
    """The stages of a measured Point's full training. Raises ReferenceUnavailable for the first unknown rate."""
    if not asked.stages:
        return (Stage(asked.total_images, own.rate),)
    stages = []
    for number, stage in enumerate(asked.stages, 1):
        rate = own.rate if stage.rate_ratio is None else own.rate * stage.rate_ratio
        if stage.rate_ratio is None and stage.benchmark is not None:
            try:
                rate = _rate_elsewhere(stage, stage.benchmark, point, own, source)
            except ReferenceUnavailable as error:
                what = f"The rate of stage {number} ({stage.image_size} px) is unknown"
                raise ReferenceUnavailable(f"{what}: {error}") from None
        stages.append(Stage(stage.images, rate))
    return tuple(stages)


def _rate_elsewhere(stage: ProjectionStage, name: str, point: Point, own: OwnRate, source: Lookup) -> Decimal:
    """The mean rate of another Benchmark's Point. Raises ReferenceUnavailable, as for one that is not complete."""
    found = source(name)
    row = _matching_point(found, stage, point)
    unlike = device_difference(environments_of(row.point, found.benchmark.status), own.ran_on)
    if disqualified := disqualification(row, found.benchmark.spec) or unlike:
        raise ReferenceUnavailable(f"of {row.point} in Benchmark {name}, {disqualified}")
    if not row.images_per_second.is_finite() or row.images_per_second <= 0:
        raise ReferenceUnavailable(f"{row.point} in Benchmark {name} has no rate")
    return row.images_per_second


def _matching_point(found: CompletedBenchmark, stage: ProjectionStage, point: Point) -> PointRow:
    """The Point of the same model and device count at the stage's size. Raises ReferenceUnavailable."""
    name = found.benchmark.metadata.name
    what = f"{point.config.model} on {point.devices} devices at {stage.image_size} px"
    rows = [
        row
        for other, row in found.points
        if other.devices == point.devices
        and other.config.image_size == stage.image_size
        and other.config.model is point.config.model
    ]
    if not rows:
        raise ReferenceUnavailable(f"Benchmark {name} has not measured {what}")
    # Several Points may differ in knobs, and only the same label says which of them is meant.
    same_label = next((row for row in rows if row.point == point.label), None)
    if same_label is None and len(rows) > 1:
        several = f"has {len(rows)} Points of {what}, and none is called {point.label}"
        raise ReferenceUnavailable(f"Benchmark {name} {several}")
    return same_label or rows[0]
