"""At which rate would each stage of a full training run? From the Point itself, a ratio, or another Benchmark.

| stage says | rate |
|---|---|
| nothing | the Point's own mean rate; its imageSize is the stage's |
| rateRatio | own rate × ratio |
| benchmark | mean rate of that Benchmark's Point of the same device count and model at the stage's imageSize |

Where that Benchmark has several such Points, the one with the same label is meant. A rate is unknown while that
Benchmark is not complete, where its Point's numbers are spoilt (core/measure/evidence.py), and where it ran on another
device.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sdbench.api.spec import Spec
from sdbench.api.spec_projection import Projection, ProjectionStage
from sdbench.api.status import PointRow
from sdbench.core.format import bounded, decimal
from sdbench.core.measure.evidence import RunEnvironment, device_difference, disqualification, environments_of
from sdbench.core.measure.projection import Stage, project
from sdbench.core.measure.references import CompletedBenchmark, Lookup, ReferenceUnavailable
from sdbench.core.plan.grid import Point

PLACES = 6


@dataclass(frozen=True)
class OwnRate:
    """What a Point itself has measured: its mean rate, and on what."""

    rate: Decimal
    ran_on: tuple[RunEnvironment | None, ...]


def projection_fields(point: Point, own: OwnRate, spec: Spec, source: Lookup) -> dict[str, Any]:
    """Of a measured Point: days, device-hours and cost of the full training, or why they are unknown."""
    try:
        stages = stages_of(spec.projection, point, own, source)
    except ReferenceUnavailable as error:
        return {"projection_message": bounded(str(error))}
    full = project(stages, point.devices, spec.devices.hourly_price)
    values = {"days": full.days, "device_hours": full.device_hours, "cost": full.cost}
    return {name: decimal(value, PLACES) for name, value in values.items()}


def stages_of(asked: Projection, point: Point, own: OwnRate, source: Lookup) -> tuple[Stage, ...]:
    """The full training of a measured Point. Raises Unusable with the first stage whose rate is unknown."""
    if not asked.stages:
        return (Stage(asked.total_images, own.rate),)
    return tuple(
        Stage(stage.images, _rate(number, stage, point, own, source)) for number, stage in enumerate(asked.stages, 1)
    )


def _rate(number: int, stage: ProjectionStage, point: Point, own: OwnRate, source: Lookup) -> Decimal:
    if stage.rate_ratio is not None:
        return own.rate * stage.rate_ratio
    if stage.benchmark is None:
        return own.rate
    try:
        return _rate_elsewhere(stage, stage.benchmark, point, own, source)
    except ReferenceUnavailable as error:
        raise ReferenceUnavailable(f"The rate of stage {number} ({stage.image_size} px) is unknown: {error}") from None


def _rate_elsewhere(stage: ProjectionStage, name: str, point: Point, own: OwnRate, source: Lookup) -> Decimal:
    found = source(name)
    row = _same(_fitting(found, stage, point), point, name, stage)
    unlike = device_difference(environments_of(row.point, found.benchmark.status), own.ran_on)
    if spoilt := disqualification(row, found.benchmark.spec) or unlike:
        raise ReferenceUnavailable(f"of {row.point} in Benchmark {name}, {spoilt}")
    if not row.images_per_second.is_finite() or row.images_per_second <= 0:
        raise ReferenceUnavailable(f"{row.point} in Benchmark {name} has no rate")
    return row.images_per_second


def _fitting(found: CompletedBenchmark, stage: ProjectionStage, point: Point) -> tuple[PointRow, ...]:
    return tuple(
        row
        for other, row in found.points
        if other.devices == point.devices
        and other.config.image_size == stage.image_size
        and other.config.model is point.config.model
    )


def _same(rows: tuple[PointRow, ...], point: Point, name: str, stage: ProjectionStage) -> PointRow:
    what = f"{point.config.model} on {point.devices} devices at {stage.image_size} px"
    if not rows:
        raise ReferenceUnavailable(f"Benchmark {name} has not measured {what}")
    twin = next((row for row in rows if row.point == point.label), None)
    if twin is None and len(rows) > 1:
        raise ReferenceUnavailable(
            f"Benchmark {name} has {len(rows)} Points of {what}, and none is called {point.label}"
        )
    return twin or rows[0]
