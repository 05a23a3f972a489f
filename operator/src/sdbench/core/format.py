"""Formats values for a status: whole seconds, short decimals, bounded sentences."""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic import BaseModel

DECIMAL_CHARACTERS = 24
"""The schema's maxLength of a decimal string."""

SECONDS_PER_HOUR = 3_600

PLAN_REFUSED = "PlanRefused"
"""Reason of a Benchmark whose question cannot be answered."""

WAITS_FOR_DEVICES = "WaitsForDevices"
"""Reason of a Benchmark that waits for what an earlier one of its name left."""

JOB_REFUSED = "JobRefused"
"""Reason of an Attempt whose job the cluster refuses to create."""

WAITS_FOR_OTHERS = "WaitsForOtherBenchmarks"
"""Reason of the condition Running of a Benchmark that only the others' Trials keep waiting."""

ROW_CHARACTERS = 512
CONDITION_CHARACTERS = 1024

LARGEST = Decimal("9" * DECIMAL_CHARACTERS)


def moment(time: datetime) -> datetime:
    """The time as the status stores it: metav1.Time has whole seconds."""
    return time.replace(microsecond=0)


def bounded(text: str, characters: int = ROW_CHARACTERS) -> str:
    """The text on one line, cut at its end."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1] + "…"


def decimal(value: Decimal | float, places: int = 9) -> Decimal:
    """A non-negative number with at most `places` decimals and 24 characters, without trailing zeros.

    A longer string would have the API server refuse the whole status.
    """
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if exact >= LARGEST:
        return LARGEST
    room = DECIMAL_CHARACTERS - 2 - max(0, exact.adjusted())
    rounded = rounded_half_up(exact, min(places, max(0, room)))
    return Decimal(format(rounded, "f").rstrip("0").rstrip(".")) if "." in format(rounded, "f") else rounded


def rounded_half_up(value: Decimal, places: int) -> Decimal:
    """The value with exactly `places` decimals, halves away from zero."""
    with_room = value.adjusted() + places + 2
    if with_room <= 0:
        return Decimal(0).scaleb(-places)
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def percent(ratio: Decimal, places: int = 1) -> str:
    """The ratio as a percentage; one above 100 % stays as it is."""
    return f"{rounded_half_up(ratio * 100, places)} %"


def measured_rate(images_per_second: Decimal, disturbed: bool) -> str:
    """The result of a measured Trial, as a part of a sentence."""
    return f"{images_per_second:,.2f} images/s" + (", but other processes disturbed it" if disturbed else "")


def signed(value: float) -> str:
    """A number that may be negative or small, in at most 9 significant digits."""
    return f"{value:.9g}"


def formatted(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a model's fields, each float as its field wants it: a Decimal, or a string for a signed number."""
    written = {}
    for name, field in model.model_fields.items():
        if name in values:
            value = values[name]
            as_float = signed if field.annotation is str else decimal
            written[name] = as_float(value) if isinstance(value, float) else value
    return written
