"""Derives Events from the difference of two statuses, so that each is reported once."""

from collections.abc import Iterator
from itertools import groupby

from sdbench.api.reasons import Reason
from sdbench.api.status import Condition, ConditionStatus, ConditionType, Status, TrialPhase, TrialRow
from sdbench.api.status_gate import Verdict
from sdbench.core.format import measured_rate
from sdbench.core.snapshot import Event
from sdbench.core.trial.row import LIVE

ANNOUNCED = {
    ConditionType.ACCEPTED: "Accepted",
    ConditionType.SUSPENDED: "Suspended",
    ConditionType.COMPLETE: "Complete",
    ConditionType.FAILED: "Failed",
    ConditionType.CLEANED_UP: "CleanedUp",
}
"""Conditions that are announced when they become True."""


def events_of_change(before: Status, after: Status) -> tuple[Event, ...]:
    """The Events for the change from one status to the next, those of Trials first."""
    if before == after:
        return ()
    rows = {row.trial: row for row in before.trials}
    of_trials = [event for row in after.trials for event in _of_row(rows.get(row.trial), row)]
    events = [*of_trials, *_not_tried(rows, after), *_skipped(rows, after), *_of_conditions(before, after)]
    if after.gate is not None and after.gate != before.gate:
        passed = after.gate.verdict is Verdict.PASS
        events.append(Event(not passed, f"Gate{after.gate.verdict}", after.gate.message))
    return tuple(events)


def _of_row(before: TrialRow | None, row: TrialRow) -> Iterator[Event]:
    known = (before.phase, before.attempt) if before is not None else (TrialPhase.PENDING, 0)
    if known == (row.phase, row.attempt):
        # Only the message or a time has changed.
        return
    name = f"Trial {row.trial} ({row.point}), attempt {row.attempt}"
    if before is not None and row.failures > before.failures and row.attempt > before.attempt:
        # One pass ended an Attempt and started the next, so no status ever said Stopping.
        void = f"Trial {row.trial} ({row.point}), attempt {before.attempt}, is void; another follows"
        yield Event(True, row.reason or Reason.UNKNOWN, void)
    if row.phase is TrialPhase.STARTING:
        yield Event(False, "AttemptStarted", f"{name}: job {row.job}")
    elif row.phase is TrialPhase.SUCCEEDED and row.measurement is not None:
        rate, disturbed = row.measurement.images_per_second, row.measurement.disturbed
        yield Event(disturbed, Reason.MEASURED, f"{name}: {measured_rate(rate, disturbed)}")
    elif row.phase is TrialPhase.STOPPING and row.reason is not None:
        yield Event(row.reason is not Reason.SUSPENDED, row.reason, f"{name}: {row.message}; another attempt follows")
    elif row.phase is TrialPhase.FAILED and row.reason not in {None, Reason.CANCELLED} and not _untried(before, row):
        yield Event(True, row.reason or Reason.UNKNOWN, f"{name}: {row.message}")


def _untried(before: TrialRow | None, row: TrialRow) -> bool:
    """Whether the row failed while no Attempt at it was live: because of another row's failure, or of the budget."""
    given_up = row.phase is TrialPhase.FAILED and row.reason in {Reason.SKIPPED, Reason.BUDGET_EXCEEDED}
    return given_up and (before is None or before.phase not in LIVE)


def _not_tried(before: dict[int, TrialRow], after: Status) -> Iterator[Event]:
    """One Event for each reason for which Trials are not tried: there may be hundreds of Trials."""
    known = {trial for trial, row in before.items() if row.phase is TrialPhase.FAILED}
    fresh = [row for row in after.trials if row.trial not in known and _untried(before.get(row.trial), row)]
    for reason, rows in groupby(sorted(fresh, key=lambda row: row.reason or ""), key=lambda row: row.reason):
        untried = list(rows)
        yield Event(True, reason or Reason.UNKNOWN, f"{len(untried)} trials are not tried: {untried[0].message}")


def _skipped(before: dict[int, TrialRow], after: Status) -> Iterator[Event]:
    """One Event for each Point whose further repeats are not needed."""
    known = {trial for trial, row in before.items() if row.phase is TrialPhase.SKIPPED}
    fresh = [row for row in after.trials if row.phase is TrialPhase.SKIPPED and row.trial not in known]
    for point, rows in groupby(sorted(fresh, key=lambda row: row.point), key=lambda row: row.point):
        needless = list(rows)
        yield Event(False, Reason.CONVERGED, f"{point} needs {len(needless)} repeats less: {needless[0].message}")


def _of_conditions(before: Status, after: Status) -> Iterator[Event]:
    held = {condition.type for condition in before.conditions if condition.status is ConditionStatus.TRUE}
    for condition in after.conditions:
        fresh = condition.status is ConditionStatus.TRUE and condition.type not in held
        if fresh and (word := ANNOUNCED.get(condition.type)):
            yield Event(condition.type is ConditionType.FAILED, word, condition.message or condition.reason)
    overdue = _overdue(after)
    if overdue is not None and _overdue(before) is None:
        yield Event(True, overdue.reason, overdue.message)


def _overdue(status: Status) -> Condition | None:
    return next((condition for condition in status.conditions if condition.reason == "TeardownOverdue"), None)
