"""Fits the cost of a step on any number of devices: step = a x images per device + c, by least squares.

    a, c = argmin over (a, c) of Σ ((step - a x images - c) / images)²
    residual = sqrt(Σ (step - a x images - c)² / points)

with step = stepSecondsP50 and images = perDevice.

a is the work of an image; c is what a step costs however few images a device has (optimiser, average, all-reduce, the
loop itself), so that no step is ever shorter. Under Weak scaling the images per device do not vary, so there is no fit.
"""

from collections.abc import Iterable, Iterator
from math import sqrt
from statistics import fmean, linear_regression

from sdbench.api.status import PointRow, ScalingFitRow
from sdbench.core.format import decimal, signed
from sdbench.core.plan.grid import knobs

FEWEST_COUNTS = 3
"""The fewest device counts that can show whether the fit holds: two always lie on a line."""


def scaling_fits(points: Iterable[PointRow]) -> tuple[ScalingFitRow, ...]:
    """A fit for each set of Points that differ in their device count only."""
    sets: dict[str, list[PointRow]] = {}
    for point in points:
        sets.setdefault(knobs(point.point), []).append(point)
    return tuple(fit for name, alike in sets.items() for fit in _fit(name, alike))


def _fit(name: str, alike: list[PointRow]) -> Iterator[ScalingFitRow]:
    images = [float(point.per_device) for point in alike]
    steps = [float(point.step_seconds_p50) for point in alike]
    if len({point.devices for point in alike}) < FEWEST_COUNTS or len(set(images)) == 1 or not all(steps):
        return
    pairs = tuple(zip(images, steps, strict=True))
    # The error of a step grows with its length, which is about that of its images, so the fit is made on seconds per
    # image: it then holds where steps are short and c decides, and does not follow the longest step alone.
    constant, each = linear_regression([1 / image for image in images], [step / image for image, step in pairs])
    missed = [each * image + constant - step for image, step in pairs]
    yield ScalingFitRow(
        parameters=name,
        counts=tuple(sorted(point.devices for point in alike)),
        seconds_per_image=signed(each),
        constant_seconds=signed(constant),
        residual_seconds=decimal(_root_mean_square(missed)),
        residual_ratio=decimal(_root_mean_square(miss / step for miss, step in zip(missed, steps, strict=True))),
    )


def _root_mean_square(values: Iterable[float]) -> float:
    return sqrt(fmean(value * value for value in values))
