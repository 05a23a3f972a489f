"""What has the benchmark itself cost? Device-seconds from scheduled to released, and their price."""

from dataclasses import dataclass
from decimal import Decimal

SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True)
class Spent:
    """Of all Attempts that are over."""

    device_seconds: int
    hourly_price: Decimal

    @property
    def device_hours(self) -> Decimal:
        return Decimal(self.device_seconds) / SECONDS_PER_HOUR

    @property
    def cost(self) -> Decimal:
        return self.device_hours * self.hourly_price
