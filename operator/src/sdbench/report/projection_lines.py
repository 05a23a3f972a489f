"""Projects a full training from rates on the command line, in exact decimals."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from sdbench.core.measure.projection import Rounding, Stage, project_training
from sdbench.report.answers import number


class Unprojectable(Exception):
    """What was given makes no training; the message says what to give."""


def stages(rate: str | None, images: int | None, given: Sequence[str]) -> tuple[Stage, ...]:
    """The parts of the training: one of `images` at `rate`, or those given as IMAGES:RATE."""
    if given and rate is None and images is None:
        return tuple(_stage(text) for text in given)
    if given or rate is None or images is None:
        raise Unprojectable("Give --images-per-second with --images, or --stage IMAGES:RATE for each part.")
    return (Stage(images, parsed_decimal("--images-per-second", rate)),)


def projected(parts: Sequence[Stage], devices: int, price: str, seed_rounding: bool) -> dict[str, str]:
    """Days, device-hours and cost as decimal strings."""
    rounding = Rounding.SEED if seed_rounding else Rounding.NONE
    try:
        result = project_training(parts, devices, parsed_decimal("--price", price), rounding)
    except ValueError as error:
        raise Unprojectable(f"{error}.") from error
    return {"days": _text(result.days), "deviceHours": _text(result.device_hours), "cost": _text(result.cost)}


def projection_lines(result: dict[str, str]) -> tuple[str, ...]:
    """The same for a person: a line for each, to two decimals."""
    names = {"days": "Days", "deviceHours": "Device-hours", "cost": "Cost"}
    return tuple(f"{names[key]:<13} {number(Decimal(value), 2):>16}" for key, value in result.items())


def parsed_decimal(option: str, text: str) -> Decimal:
    """A finite number that is not negative. Raises Unprojectable."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise Unprojectable(f"{option}: {text!r} is no number of 0 or more, such as 128.2.")
    return value


def _stage(text: str) -> Stage:
    count, colon, rate = text.partition(":")
    if not colon or not count.isdecimal() or int(count) < 1:
        raise Unprojectable(f"--stage: {text!r} is not IMAGES:RATE, such as 1500000000:254.0.")
    return Stage(int(count), parsed_decimal("--stage", rate))


def _text(value: Decimal) -> str:
    return format(value, "f")
