"""How much is a Kubernetes quantity, times a number of devices?"""

import re
from decimal import Decimal

_PARTS = re.compile(r"([0-9.]+)([a-zA-Z]*)")


def multiplied(quantity: str, times: int) -> str:
    """The quantity times a whole number, in its own unit: 500m x 2 is 1000m."""
    number, unit = _parts(quantity)
    return f"{(number * times).normalize():f}{unit}"


def whole_cores(cpu: str) -> int:
    """The whole cores in a quantity of CPU, at least one."""
    number, unit = _parts(cpu)
    return max(1, int(number / 1000 if unit == "m" else number))


def _parts(quantity: str) -> tuple[Decimal, str]:
    found = _PARTS.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity")
    return Decimal(found[1]), found[2]
