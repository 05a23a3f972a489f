"""Chooses the jobs of failed and void Attempts that are kept for inspection, and until when.

A job is kept while its Attempt is not wanted, measured nothing, has ended by itself, and less than
spec.retention.failedSeconds have passed since; of a Benchmark the eight that ended last. While some of its pods still
run after one has failed, the job is left for SETTLE_SECONDS. A job that this operator stopped (suspended, cancelled,
beyond the budget) has not ended by itself, and a job that never ran has nothing to show.
"""

from datetime import datetime, timedelta

from sdbench.api.reasons import Reason
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.core.attempt import facts
from sdbench.core.attempt.diagnose import SETTLE_SECONDS
from sdbench.core.snapshot import AttemptState, Snapshot

MOST = 8
"""The most jobs that are kept of one Benchmark."""

WANTED = {TrialPhase.STARTING, TrialPhase.RUNNING, TrialPhase.SUCCEEDED}
"""Phases of a row whose last Attempt has not failed."""

ASKED = {Reason.SUSPENDED, Reason.CANCELLED, Reason.BUDGET_EXCEEDED}
"""Reasons for which this operator ends an Attempt."""

SETTLED = timedelta(seconds=SETTLE_SECONDS)


def may_keep_a_job(row: TrialRow) -> bool:
    """Whether an Attempt of the row did not end well, so that its job may be kept."""
    return row.attempt > 1 or (row.attempt == 1 and row.phase not in WANTED)


def is_idle(state: AttemptState, snapshot: Snapshot) -> bool:
    """Whether the Attempt's job is there and neither holds devices nor will."""
    # A job that has ended makes new pods for an instant (seen: for less than 0.1 s), so its devices are free only after
    # SETTLE_SECONDS; then the next Trial starts beside what is kept.
    return _over(state) and state.ended_at is not None and snapshot.now >= state.ended_at + SETTLED


def kept_jobs(rows: tuple[TrialRow, ...], snapshot: Snapshot) -> dict[str, datetime]:
    """The Attempts that failed by themselves recently, whose jobs are kept, and until when."""
    kept: dict[str, datetime] = {}
    asked = timedelta(seconds=snapshot.benchmark.spec.retention.failed_seconds)
    for state in snapshot.attempts:
        row = rows[state.trial] if state.trial < len(rows) else None
        if row is None or state.deleting or state.job_uid is None or not facts.is_ours(state, snapshot):
            continue
        if state.attempt >= row.attempt and not (state.attempt == row.attempt and row.phase not in WANTED):
            # It is still wanted, or ended well.
            continue
        failed = any(pod.exit is not None and pod.exit.code != 0 for pod in state.pods)
        if _over(state) and state.ended_at is not None:
            until = state.ended_at + asked
        elif row.job == state.name and row.ended_at is not None and row.reason not in ASKED and failed:
            # Pods that lost a peer end by themselves a few seconds later, and the job reports it after them.
            until = row.ended_at + min(SETTLED, asked)
        else:
            continue
        if snapshot.now < until:
            kept[state.name] = until
    # Those that ended last; the names decide between two of the same second.
    return dict(sorted(kept.items(), key=lambda item: (item[1], item[0]), reverse=True)[:MOST])


def _over(state: AttemptState) -> bool:
    """Whether the job and every one of its pods have ended."""
    return state.job_ended and facts.all_pods_exist(state) and not any(pod.holds_devices for pod in state.pods)
