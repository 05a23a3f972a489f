"""Judges one value of a Point against one limit of the gate; what is missing or disqualified is not judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from sdbench.api.spec_gate import Gate
from sdbench.api.status import PointRow
from sdbench.api.status_gate import FindingRow, Limit, Verdict
from sdbench.core.format import bounded, decimal

PLACES = 6
"""Decimals to which a value is shown; it is compared exactly."""


@dataclass(frozen=True)
class Scale:
    """The value that a limit compares, and in which direction."""

    limit: Limit
    least: bool
    """Whether the value must be at least, not at most, what is asked."""
    asked: Callable[[Gate], Decimal | None]
    value: Callable[[PointRow], Decimal | None]


SCALES = (
    # Rates are compared by their medians, which a stall within a window hardly moves.
    Scale(Limit.IMAGES_PER_SECOND, True, lambda g: g.min_images_per_second, lambda row: row.median_images_per_second),
    Scale(
        Limit.IMAGES_PER_SECOND_PER_DEVICE,
        True,
        lambda g: g.min_images_per_second_per_device,
        lambda row: row.median_images_per_second / row.devices,
    ),
    Scale(Limit.SCALING_EFFICIENCY, True, lambda g: g.min_scaling_efficiency, lambda row: row.scaling_efficiency),
    Scale(
        Limit.COEFFICIENT_OF_VARIATION,
        False,
        lambda g: g.max_coefficient_of_variation,
        lambda row: row.median_coefficient_of_variation,
    ),
    Scale(Limit.DATA_WAIT_RATIO, False, lambda g: g.max_data_wait_ratio, lambda row: row.data_wait_ratio_max),
    Scale(Limit.MFU, True, lambda g: g.min_mfu, lambda row: row.mfu_ratio),
    Scale(Limit.DAYS, False, lambda g: g.max_days, lambda row: row.days),
    Scale(Limit.COST, False, lambda g: g.max_cost, lambda row: row.cost),
)


@dataclass(frozen=True)
class Bound:
    """One limit as a gate asks for it."""

    scale: Scale
    asked: Decimal

    @property
    def words(self) -> str:
        """The limit in words, as in `at least 0.60`."""
        return f"at {'least' if self.scale.least else 'most'} {self.asked:f}"

    def holds(self, value: Decimal) -> bool:
        """Whether a value satisfies the limit; the limit itself does."""
        return value >= self.asked if self.scale.least else value <= self.asked


def gate_bounds(gate: Gate) -> Iterator[Bound]:
    """The limits that a gate sets, except the baseline."""
    asked = ((scale, scale.asked(gate)) for scale in SCALES)
    return (Bound(scale, value) for scale, value in asked if value is not None)


def finding(bound: Bound, point: str, row: PointRow | None, flaw: str) -> FindingRow:
    """The finding for a limit at one Point; `flaw` says why the Point's numbers, if any, may not be judged."""
    limit = bound.scale.limit
    value = bound.scale.value(row) if row is not None else None
    known = value if value is not None and value.is_finite() else None
    shown = None if known is None else f"{decimal(known, PLACES):f}"
    if known is None or flaw:
        # A gate fails closed: what cannot be judged never passes, whatever its number.
        verdict, said = Verdict.INSUFFICIENT_DATA, flaw or _missing(limit, row)
        seen = f"{shown}, where " if known is not None else ""
        message = f"{limit} of {point} cannot be judged ({seen}{bound.words} is asked for): {said}"
    else:
        verdict = Verdict.PASS if bound.holds(known) else Verdict.FAIL
        message = f"{limit} of {point} is {shown}: the gate asks for {bound.words}"
    return FindingRow(
        limit=limit,
        point=point,
        verdict=verdict,
        value=shown,
        bound=f"{bound.asked:f}",
        message=bounded(message),
    )


def _missing(limit: Limit, row: PointRow | None) -> str:
    """Why a measured Point lacks the value."""
    if limit is Limit.COEFFICIENT_OF_VARIATION and row is not None and row.repeats < 2:
        return "a spread needs 2 repeats"
    if limit in {Limit.DAYS, Limit.COST} and row is not None and row.projection_message is not None:
        return row.projection_message
    return "the peak of its device is not known" if limit is Limit.MFU else "its value is not known"
