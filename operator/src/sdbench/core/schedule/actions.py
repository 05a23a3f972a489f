"""Lists the jobs to create and to delete now, and when to decide again."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sdbench.api.reasons import Reason
from sdbench.api.spec import Spec
from sdbench.api.status import ConditionType, Status, TrialPhase, TrialRow
from sdbench.core.attempt.blockers import blockers
from sdbench.core.attempt.diagnose import SETTLE_SECONDS, silence_seconds
from sdbench.core.attempt.facts import is_ours
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import CreateJob, DeleteJob, Snapshot
from sdbench.core.trial.backoff import queue_deadline
from sdbench.core.trial.retention import kept_jobs
from sdbench.core.trial.row import LIVE, TERMINAL, image
from sdbench.core.trial.teardown import teardown_due, teardown_pending
from sdbench_trainer.run import SHARDS_FOLDER, DataSource, RunConfig, Watchdog

POLL = timedelta(seconds=5)
"""The interval of polling for what should change soon, in case a watch misses it."""

AT_ONCE = timedelta(seconds=1)
"""The delay after a change of the status, on which the next action may wait."""


def jobs_to_create(
    rows: tuple[TrialRow, ...], trials: tuple[Trial, ...], resolved_image: str, snapshot: Snapshot
) -> tuple[CreateJob, ...]:
    """The jobs of Starting rows that were not seen yet: created now, or again after a crash."""
    seen, jobs = {state.name for state in snapshot.attempts}, []
    # From the new status, which is stored first: a row says Starting before its job exists.
    for row in rows:
        if row.phase is TrialPhase.STARTING and row.job_uid is None and row.job is not None and row.job not in seen:
            trial = trials[row.trial]
            run, point = run_config(row.job, trial, snapshot.benchmark.spec), trial.point
            jobs.append(
                CreateJob(row.job, row.trial, row.attempt, resolved_image, run, point.pods, point.devices_per_pod)
            )
    return tuple(jobs)


def run_config(name: str, trial: Trial, spec: Spec) -> RunConfig:
    """The configuration of the Attempt of that name."""
    data, limits = spec.data, spec.limits
    return RunConfig(
        attempt=name,
        devices=trial.point.devices,
        accelerator=spec.devices.resource is not None,
        source=DataSource(
            remote=data.remote,
            local=SHARDS_FOLDER if data.claim is not None else None,
            endpoint=data.endpoint,
            region=data.region,
        ),
        watchdog=Watchdog(
            rendezvous_seconds=limits.rendezvous_seconds,
            first_step_seconds=limits.first_step_seconds,
            stall_seconds=limits.stall_seconds,
        ),
        peak_teraflops=spec.devices.peak_teraflops,
        trainer=trial.point.config,
    )


def jobs_to_delete(stored: tuple[TrialRow, ...], snapshot: Snapshot) -> tuple[DeleteJob, ...]:
    """The jobs of our Attempts that the stored status no longer wants, except those kept for inspection."""
    # By the stored status: what an Attempt left is kept before its job is deleted, whatever crashes in between.
    kept, jobs = kept_jobs(stored, snapshot), []
    for state in snapshot.attempts:
        if state.job_uid is None or state.deleting or state.trial >= len(stored) or not is_ours(state, snapshot):
            continue
        row = stored[state.trial]
        # An Attempt beyond the row's last is not known to the stored status yet, so it is not judged.
        wanted = state.attempt > row.attempt or (state.attempt == row.attempt and row.phase in LIVE)
        if (row.phase in TERMINAL or not wanted) and state.name not in kept:
            jobs.append(DeleteJob(state.name, state.job_uid, row.reason or Reason.UNKNOWN, row.message))
    return tuple(jobs)


def requeue_after(
    rows: tuple[TrialRow, ...],
    changed: bool,
    snapshot: Snapshot,
    others: Iterable[datetime | None] = (),
    poll: bool = False,
) -> timedelta | None:
    """The time until the clock alone, or a change that no watch reported, would change the decision.

    `others` are moments that do not follow from the rows; `poll` says that something else is awaited.
    """
    if changed:
        return AT_ONCE
    of_rows = (moment for row in rows for moment in _moments(row, snapshot))
    moments = [*of_rows, *kept_jobs(rows, snapshot).values(), *(moment for moment in others if moment is not None)]
    waits = [moment - snapshot.now for moment in moments if moment > snapshot.now]
    creating = any(row.phase is TrialPhase.STARTING and row.job_uid is None for row in rows)
    if poll or creating or teardown_pending(rows, snapshot):
        waits.append(POLL)
    return max(min(waits), AT_ONCE) if waits else None


def _moments(row: TrialRow, snapshot: Snapshot) -> Iterator[datetime]:
    if due := teardown_due(row, snapshot):
        yield due
    if row.not_before is not None and row.phase is TrialPhase.PENDING:
        yield row.not_before
    if (ends := queue_deadline(row, snapshot)) and row.phase not in TERMINAL:
        yield ends
    if row.phase not in LIVE:
        return
    if row.ended_at is not None:
        # A weak cause, and a stall, wait that long for a better explanation.
        yield row.ended_at + timedelta(seconds=SETTLE_SECONDS)
        yield row.ended_at + timedelta(seconds=silence_seconds(snapshot.benchmark.spec.limits))
    spec = snapshot.benchmark.spec
    if row.job_uid is None and row.queued_at is not None:
        yield row.queued_at + timedelta(seconds=spec.limits.queued_seconds)
    for state in snapshot.attempts:
        if state.name == row.job:
            yield from (blocker.due for blocker in blockers(row, state, spec.limits, image(snapshot)))


def expires_at(status: Status, spec: Spec) -> datetime | None:
    """When the Benchmark deletes itself: spec.ttlSecondsAfterFinished after it has ended and its devices are free.

    None while it goes on, and without a ttl. A refused question has ended, too. Results and kept jobs go with it.
    """
    end, clean = status.end, status.true_condition(ConditionType.CLEANED_UP)
    if spec.ttl_seconds_after_finished is None or end is None or clean is None:
        return None
    last = max(end.last_transition_time, clean.last_transition_time)
    return last + timedelta(seconds=spec.ttl_seconds_after_finished)
