"""Finds the caps on devices and budget: the smallest of what the author and the administrator allow.

The administrator's bounds hold from the moment the operator knows them: a Benchmark that was accepted and asks for more
is treated as if its author had lowered `limits`. No spec can raise them.
"""

from dataclasses import dataclass
from decimal import Decimal

from sdbench.api.spec import Spec
from sdbench.core.format import SECONDS_PER_HOUR
from sdbench.core.snapshot import Bounds


@dataclass(frozen=True)
class DevicesAtOnce:
    """Most devices that the Attempts of a Benchmark hold together."""

    count: int
    named: str
    """The name of the bound, for messages."""


@dataclass(frozen=True)
class Budget:
    """Most device-seconds that the Attempts of a Benchmark may cost, all together."""

    device_seconds: Decimal
    named: str

    @property
    def device_hours(self) -> Decimal:
        return self.device_seconds / SECONDS_PER_HOUR


def devices_at_once(spec: Spec, bounds: Bounds) -> DevicesAtOnce:
    """The smaller of limits.maxDevices and the administrator's bound."""
    asked = spec.limits.max_devices
    if bounds.max_devices is not None and bounds.max_devices < asked:
        return DevicesAtOnce(bounds.max_devices, "what the administrator allows at once (bounds.maxDevices)")
    return DevicesAtOnce(asked, "limits.maxDevices")


def budget(spec: Spec, bounds: Bounds) -> Budget | None:
    """The smallest of limits.deviceHours, limits.cost and the administrator's bound; None: no bound."""
    hours, cost, price = spec.limits.device_hours, spec.limits.cost, spec.devices.hourly_price
    found = []
    if hours is not None:
        found.append(Budget(hours * SECONDS_PER_HOUR, "limits.deviceHours"))
    if cost is not None and price:
        found.append(Budget(cost / price * SECONDS_PER_HOUR, "limits.cost"))
    if bounds.device_hours is not None:
        named = "what the administrator allows one benchmark (bounds.deviceHours)"
        found.append(Budget(bounds.device_hours * SECONDS_PER_HOUR, named))
    return min(found, key=lambda one: one.device_seconds, default=None)
