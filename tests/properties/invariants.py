"""Checks what must hold of every change of a status, each invariant by itself."""

from datetime import datetime
from statistics import fmean, stdev

from sdbench.api.reasons import Reason
from sdbench.api.spec import Spec
from sdbench.api.status import Status, TrialPhase, TrialRow
from sdbench.core.snapshot import Snapshot
from sdbench.core.trial.row import LIVE, TERMINAL

UNCOUNTED = {Reason.SUSPENDED, Reason.PREEMPTED, Reason.UNSCHEDULABLE}
"""Reasons of void Attempts that do not count as failures."""

SECONDS_PER_HOUR = 3_600


def check_change(before: Status, after: Status, snapshot: Snapshot) -> None:
    """Checks everything that must hold between a stored status and the next."""
    spec = snapshot.benchmark.spec
    check_terminal_rows_are_sticky(before, after)
    check_skipped(before, after, spec)
    check_failures(before, after, spec)
    check_spent(before, after)
    assert snapshot.backend or before.trials == after.trials, "judged without having looked"
    check_started(before, after, snapshot)
    check_budget(before, after, snapshot)


def check_terminal_rows_are_sticky(before: Status, after: Status) -> None:
    for old in before.trials:
        new = after.trials[old.trial]
        if old.phase in TERMINAL:
            may = {"released_at": new.released_at} if old.released_at is None else {}
            assert new == old.model_copy(update=may), "a terminal row has changed"
        if old.measurement is not None:
            assert new.measurement == old.measurement


def check_skipped(before: Status, after: Status, asked: Spec) -> None:
    """Repeats are skipped only for a Point with enough undisturbed repeats that are close together."""
    known = {row.trial for row in before.trials if row.phase is TrialPhase.SKIPPED}
    fresh = {row.point for row in after.trials if row.phase is TrialPhase.SKIPPED and row.trial not in known}
    for point in fresh:
        measured = [row.measurement for row in after.trials if row.point == point and row.measurement]
        calm = [float(one.median_images_per_second) for one in measured if not one.disturbed]
        assert len(calm) >= max(2, asked.repeats.min), "skipped too early"
        assert stdev(calm) / fmean(calm) <= float(asked.repeats.target_coefficient_of_variation or 0), (
            "skipped though the repeats spread too far"
        )


def check_failures(before: Status, after: Status, asked: Spec) -> None:
    """Void Attempts do not count as failures, and failures are limited."""
    for row in after.trials:
        assert row.failures <= asked.retries + 1, "more failures than retries allow"
        old = before.trials[row.trial] if before.trials else None
        voided = row.phase is TrialPhase.STOPPING and (old is None or old.phase in LIVE)
        if old is not None and voided and row.reason in UNCOUNTED:
            assert row.failures == old.failures, f"{row.reason} is counted as a failure"


def check_spent(before: Status, after: Status) -> None:
    """The sum never shrinks, and includes the cost of each Attempt that was released now."""
    freed = [row for row in after.trials if row.released_at and _newly_released(before, row)]
    least = sum(_cost(row, row.released_at) for row in freed)
    assert after.spent_device_seconds - before.spent_device_seconds >= int(least), "an Attempt was not charged"


def check_started(before: Status, after: Status, snapshot: Snapshot) -> None:
    """Each row that has just been started was the next in order."""
    spec, bounds = snapshot.benchmark.spec, snapshot.defaults.bounds
    live = [row for row in after.trials if row.phase in LIVE]
    fresh = [row for row in live if row.attempt > _known(before, row).attempt]
    if not fresh:
        return
    assert not spec.suspend, "started while suspended"
    assert not spec.cancel, "started after the cancellation"
    assert len(live) <= spec.parallelism
    assert sum(row.devices for row in live) <= min(spec.limits.max_devices, bounds.max_devices or 10**9), "maxDevices"
    if bounds.concurrent_trials is not None:
        assert snapshot.others_running + len(live) <= bounds.concurrent_trials, "more Trials than all may run"
    for row in fresh:
        earliest = _known(before, row).not_before
        assert earliest is None or snapshot.now >= earliest, "started before its back-off was over"
    waiting = [row.trial for row in after.trials if row.phase is TrialPhase.PENDING]
    assert not waiting or max(row.trial for row in fresh) < min(waiting), "a Trial has overtaken another"


def check_budget(before: Status, after: Status, snapshot: Snapshot) -> None:
    """While a Trial is wanted, some of the budget is left; one that was started now could be afforded.

    Where PyTorchJobs are not served nothing is known of what runs, and nothing could be stopped.
    """
    budget = allowed_device_seconds(snapshot)
    live = [row for row in after.trials if row.phase in LIVE]
    if budget is None or not live or not snapshot.backend:
        return
    held = [row for row in after.trials if row.job and row.released_at is None]
    left = budget - after.spent_device_seconds - sum(_cost(row, snapshot.now) for row in held)
    assert left > 0, "a Trial goes on though the budget is used up"
    for row in live:
        if row.attempt > _known(before, row).attempt:
            known = [_cost(one, one.released_at) for one in after.trials if one.point == row.point and one.released_at]
            assert max(known, default=0) <= left, "a Trial was started that cannot be paid"


def allowed_device_seconds(snapshot: Snapshot) -> float | None:
    """The smaller of the author's and the administrator's bound."""
    asked, allowed = snapshot.benchmark.spec.limits.device_hours, snapshot.defaults.bounds.device_hours
    return min((float(hours) * SECONDS_PER_HOUR for hours in (asked, allowed) if hours is not None), default=None)


def check_counted(row: TrialRow, rate: float) -> None:
    assert row.phase is TrialPhase.SUCCEEDED, f"a result is lost: {row}"
    assert row.measurement is not None
    assert float(row.measurement.images_per_second) == rate


def _known(before: Status, row: TrialRow) -> TrialRow:
    """The row as it was before; a planned row before the first status."""
    new = TrialRow(trial=row.trial, point=row.point, devices=row.devices, repeat=row.repeat)
    return before.trials[row.trial] if before.trials else new


def _newly_released(before: Status, row: TrialRow) -> bool:
    old = before.trials[row.trial] if before.trials else None
    return old is None or old.released_at is None or old.attempt != row.attempt


def _cost(row: TrialRow, until: datetime | None) -> float:
    if row.scheduled_at is None or until is None:
        return 0.0
    return max(0.0, (until - row.scheduled_at).total_seconds()) * row.devices
