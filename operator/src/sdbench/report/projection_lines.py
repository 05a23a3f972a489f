"""Projects a full training from rates on the command line, in exact decimals."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from sdbench.core.measure.projection import Rounding, Stage, project_training
from sdbench.report.answers import number


class Unprojectable(Exception):
    """The options describe no training; the message says what to give."""


def stages(rate: str | None, images: int | None, given: Sequence[str]) -> tuple[Stage, ...]:
    """The parts of the training: `images` at `rate`, or those given as IMAGES:RATE. Raises Unprojectable."""
    if given and rate is None and images is None:
        found = []
        for text in given:
            count, colon, part_rate = text.partition(":")
            if not colon or not count.isdecimal() or int(count) < 1:
                raise Unprojectable(f"--stage must be IMAGES:RATE, such as 1500000000:254.0, not {text!r}.")
            found.append(Stage(int(count), parsed_decimal("--stage", part_rate)))
        return tuple(found)
    if given or rate is None or images is None:
        raise Unprojectable("Give --images-per-second with --images, or --stage IMAGES:RATE for each part.")
    return (Stage(images, parsed_decimal("--images-per-second", rate)),)


def projected(parts: Sequence[Stage], devices: int, price: str, seed_rounding: bool) -> dict[str, str]:
    """Days, device-hours and cost as decimal strings. Raises Unprojectable."""
    # The rule of --seed-rounding is in core/measure/projection.py.
    rounding = Rounding.SEED if seed_rounding else Rounding.NONE
    try:
        result = project_training(parts, devices, parsed_decimal("--price", price), rounding)
    except ValueError as error:
        raise Unprojectable(f"{error}: give a rate above 0.") from error
    exact = {"days": result.days, "deviceHours": result.device_hours, "cost": result.cost}
    return {name: format(value, "f") for name, value in exact.items()}


def projection_lines(result: dict[str, str]) -> tuple[str, ...]:
    """A line for each value, to two decimals."""
    names = {"days": "Days", "deviceHours": "Device-hours", "cost": "Cost"}
    return tuple(f"{names[key]:<13} {number(Decimal(value), 2):>16}" for key, value in result.items())


def parsed_decimal(option: str, text: str) -> Decimal:
    """A finite number that is not negative. Raises Unprojectable."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)  # refused below
    if not value.is_finite() or value < 0:
        raise Unprojectable(f"{option}: {text!r} is not a number of 0 or more, such as 128.2.")
    return value
