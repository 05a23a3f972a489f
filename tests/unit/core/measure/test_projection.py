"""Tests that the projection reproduces the published table and is otherwise unrounded."""

from decimal import Decimal

import pytest

from sdbench.core.measure.projection import Rounding, Stage, project_training

SEED_IMAGES = 2_867_000_000
SEED_PRICE = Decimal("2.00")
SEED_TABLE = [
    # devices, images/s, days, A100-hours, cost
    (8, "128.2", "258.83", "49696", "99000"),
    (16, "254.0", "130.63", "50166", "100000"),
    (32, "485.7", "68.33", "52470", "105000"),
    (64, "912.2", "36.38", "55875", "110000"),
    (128, "1618.4", "20.50", "62987", "125000"),
    (256, "2589.4", "12.83", "78735", "160000"),
]


@pytest.mark.parametrize(("devices", "rate", "days", "device_hours", "cost"), SEED_TABLE)
def test_the_seed_rounding_reproduces_every_cell_of_the_published_table(
    devices: int, rate: str, days: str, device_hours: str, cost: str
) -> None:
    made = project_training([Stage(SEED_IMAGES, Decimal(rate))], devices, SEED_PRICE, Rounding.SEED)
    assert made.days == Decimal(days)
    assert made.device_hours == Decimal(device_hours)
    assert made.cost == Decimal(cost)


@pytest.mark.parametrize(
    ("rate", "days"),
    [("128.2", "258.84"), ("254.0", "130.64"), ("485.7", "68.32"), ("912.2", "36.38"), ("2589.4", "12.81")],
)
def test_without_rounding_the_days_are_the_images_over_the_rate(rate: str, days: str) -> None:
    made = project_training([Stage(SEED_IMAGES, Decimal(rate))], 8, SEED_PRICE)
    assert round(made.days, 2) == Decimal(days)
    assert abs(made.days * 86_400 * Decimal(rate) - SEED_IMAGES) < Decimal("1e-15")


def test_device_hours_and_cost_follow_from_the_unrounded_days() -> None:
    made = project_training([Stage(86_400_000, Decimal(1_000))], 4, Decimal("1.50"))
    assert (made.days, made.device_hours, made.cost) == (Decimal(1), Decimal(96), Decimal(144))


def test_stages_add_up_at_their_own_rates() -> None:
    stages = [Stage(1_126_400_000, Decimal(1_000)), Stage(1_740_800_000, Decimal(250))]
    made = project_training(stages, 8, Decimal(2))
    alone = sum(project_training([stage], 8, Decimal(2)).days for stage in stages)
    assert abs(made.days - alone) < Decimal("1e-20")
    assert round(made.days, 6) == Decimal("93.629630")


def test_a_rate_of_zero_is_rejected() -> None:
    with pytest.raises(ValueError, match="never ends"):
        project_training([Stage(1, Decimal(0))], 1, Decimal(1))
