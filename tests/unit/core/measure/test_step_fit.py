"""Tests that the scaling fit is right, and omitted where too little varies."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from page import sample
from sdbench.api.status import PointRow
from sdbench.core.measure.step_fit import scaling_fits

SEED = ((8, "128.2"), (16, "254.0"), (32, "485.7"), (64, "912.2"), (128, "1618.4"), (256, "2589.4"))
"""The table that this project started from: devices and images/s at 2,048 images in a step."""


def point(devices: int, per_device: int, step: float | str, parameters: str = "") -> PointRow:
    row = sample.point(devices, "100", "1", "1", "1")
    label = f"devices={devices}" + (f",{parameters}" if parameters else "")
    changes: dict[str, Any] = {"point": label, "per_device": per_device, "step_seconds_p50": Decimal(str(step))}
    return row.model_copy(update=changes)


def test_the_published_table_has_a_constant_of_three_tenths_of_a_second() -> None:
    (fit,) = scaling_fits(point(devices, 2048 // devices, 2048 / float(rate)) for devices, rate in SEED)
    assert fit.counts == (8, 16, 32, 64, 128, 256)
    assert float(fit.constant_seconds) == pytest.approx(0.30, abs=0.002)
    assert float(fit.seconds_per_image) == pytest.approx(0.0609, abs=0.0001)
    assert float(fit.residual_ratio) == pytest.approx(0.005, abs=0.0005)
    assert float(fit.residual_seconds) == pytest.approx(0.041, abs=0.001)


def test_an_exact_line_is_found_exactly() -> None:
    (fit,) = scaling_fits(point(devices, 64 // devices, 0.125 * 64 / devices + 0.5) for devices in (1, 2, 4, 8))
    assert (fit.seconds_per_image, fit.constant_seconds, fit.residual_seconds) == ("0.125", "0.5", Decimal(0))


def test_the_fit_minimises_seconds_per_image_and_its_residual_is_a_root_mean_square() -> None:
    points = (point(1, 4, 4), point(2, 2, 3), point(4, 1, 1))
    (fit,) = scaling_fits(points)
    # By hand: the line v = a + c u through (¼, 1), (½, 3/2), (1, 1), where u = 1/images and v = step/images.
    each, constant = Fraction(5, 4), Fraction(-1, 7)
    assert float(fit.seconds_per_image) == pytest.approx(float(each), abs=1e-8)
    assert float(fit.constant_seconds) == pytest.approx(float(constant), abs=1e-8)
    residuals = [float(each * row.per_device + constant) - float(row.step_seconds_p50) for row in points]
    assert float(fit.residual_seconds) == pytest.approx(
        (sum(residual**2 for residual in residuals) / 3) ** 0.5, abs=1e-8
    )
    ratios = [residual / float(row.step_seconds_p50) for residual, row in zip(residuals, points, strict=True)]
    assert float(fit.residual_ratio) == pytest.approx((sum(ratio**2 for ratio in ratios) / 3) ** 0.5, abs=1e-8)


def test_constant_and_slope_may_be_negative() -> None:
    (falling,) = scaling_fits((point(1, 4, 1), point(2, 2, 2), point(4, 1, 2.5)))
    assert falling.seconds_per_image == "-0.5"
    (steep,) = scaling_fits((point(1, 4, 3.5), point(2, 2, 1.5), point(4, 1, 0.5)))
    assert steep.constant_seconds == "-0.5"
    assert type(steep).model_validate(steep.document()) == steep, "a status must accept it"


NONE: list[tuple[str, tuple[PointRow, ...]]] = [
    ("no Points", ()),
    ("two counts", (point(1, 4, 4), point(2, 2, 2))),
    ("under Weak scaling", tuple(point(devices, 4, 1 + devices / 100) for devices in (1, 2, 4, 8))),
    ("two counts of each knob value", tuple(point(d, 4 // d, d, k) for d in (1, 2) for k in ("seed=1", "seed=2"))),
    ("a step that takes no time", (point(1, 4, 1), point(2, 2, 0), point(4, 1, 1))),
    ("one count and three knob values", tuple(point(1, 4, 1, f"seed={seed}") for seed in (1, 2, 3))),
]


@pytest.mark.parametrize("points", [row[1] for row in NONE], ids=[row[0] for row in NONE])
def test_there_is_no_fit_where_too_little_varies(points: tuple[PointRow, ...]) -> None:
    assert scaling_fits(points) == ()


def test_points_that_differ_only_in_scale_share_a_fit() -> None:
    points = [point(d, 8 // d, 8 / d * speed + 1, f"seed={speed}") for d in (1, 2, 4) for speed in (1, 2)]
    points.append(point(1, 8, 3, "seed=3"))
    assert [(fit.parameters, fit.seconds_per_image, fit.constant_seconds) for fit in scaling_fits(points)] == [
        ("seed=1", "1", "1"),
        ("seed=2", "2", "1"),
    ]
