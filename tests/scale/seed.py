"""Holds the project's reference table, its cells as they are printed there."""

from dataclasses import dataclass
from decimal import Decimal

IMAGES = 2_867_000_000
PRICE = Decimal(2)


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    devices: int
    rate: Decimal
    """Images per second."""
    days: Decimal
    device_hours: Decimal
    cost: Decimal


TABLE = tuple(
    Row(devices, *map(Decimal, cells))
    for devices, *cells in (
        (8, "128.2", "258.83", "49696", "99000"),
        (16, "254.0", "130.63", "50166", "100000"),
        (32, "485.7", "68.33", "52470", "105000"),
        (64, "912.2", "36.38", "55875", "110000"),
        (128, "1618.4", "20.5", "62987", "125000"),
        (256, "2589.4", "12.83", "78735", "160000"),
    )
)

RATES = {row.devices: float(row.rate) for row in TABLE}
