"""Derives the end of a Benchmark once every row is terminal: Complete or Failed, with a reason and a sentence."""

from dataclasses import dataclass

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.trial.row import TERMINAL

PARTLY_MEASURED = "PartlyMeasured"


@dataclass(frozen=True)
class Outcome:
    """The end of a Benchmark."""

    complete: bool
    reason: str
    message: str


def outcome(rows: tuple[TrialRow, ...]) -> Outcome | None:
    """The end that follows from the rows; None while a Trial has not ended."""
    if not rows or any(row.phase not in TERMINAL for row in rows):
        return None
    points = {row.point for row in rows}
    measured = {row.point for row in rows if row.phase is TrialPhase.SUCCEEDED}
    count = measured_count(rows)
    # Who ended it early wants to know that first; whatever was measured until then is a result.
    if any(row.reason is Reason.CANCELLED for row in rows):
        return Outcome(bool(measured), Reason.CANCELLED, f"Cancelled: {count}")
    if unpaid := [row for row in rows if row.reason is Reason.BUDGET_EXCEEDED]:
        return Outcome(bool(measured), Reason.BUDGET_EXCEEDED, f"{count}: {unpaid[0].message}")
    # A Point is measured if one of its repeats is: others of it may have failed or been skipped.
    if measured == points:
        return Outcome(True, Reason.MEASURED, count)
    first = first_failure(rows)
    if not measured:
        return Outcome(False, first.reason or Reason.UNKNOWN, first.message)
    return Outcome(True, PARTLY_MEASURED, f"{count}; {first.point}: {first.reason}: {first.message}")


def measured_count(rows: tuple[TrialRow, ...]) -> str:
    """The number of measured Points among all, as a part of a sentence."""
    measured = {row.point for row in rows if row.phase is TrialPhase.SUCCEEDED}
    return f"{len(measured)} of {len({row.point for row in rows})} Points are measured"


def first_failure(rows: tuple[TrialRow, ...]) -> TrialRow:
    """The most telling failure: the first that is not a mere consequence of another."""
    failures = [row for row in rows if row.phase is TrialPhase.FAILED]
    return next((row for row in failures if row.reason is not Reason.SKIPPED), failures[0])
