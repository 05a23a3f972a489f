"""Moves one Trial's row to its next state: each function takes a row and returns the next.

Pending ─► Starting ─► Running ─► Succeeded, Failed ─► released
  ▲  └─► Skipped           │
  └─ released ─┴─ Stopping ┘   (the Attempt is void, or gave its devices back; see backoff.py)
"""

from datetime import timedelta
from math import isfinite

from sdbench.api.consequences import Consequence
from sdbench.api.names import attempt_name
from sdbench.api.reasons import Reason
from sdbench.api.status import EnvironmentRow, RowMeasurement, TrialPhase, TrialRow
from sdbench.core.attempt import facts
from sdbench.core.attempt.blockers import visible_blocker
from sdbench.core.attempt.diagnose import Diagnosis, diagnose, diagnosis, has_first_sign_of_end
from sdbench.core.format import bounded, decimal, formatted, moment
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import AttemptState, Snapshot
from sdbench.core.trial import backoff
from sdbench_trainer.report import BatchTruth, Measurement, Report

LIVE = {TrialPhase.STARTING, TrialPhase.RUNNING}
"""Phases in which the row's Attempt is wanted."""

TERMINAL = {TrialPhase.SUCCEEDED, TrialPhase.FAILED, TrialPhase.SKIPPED}


def planned_row(trial: Trial) -> TrialRow:
    """The row of a Trial that has not been started yet."""
    return TrialRow(trial=trial.index, point=trial.point.label, devices=trial.point.devices, repeat=trial.repeat)


def may_hold_devices(row: TrialRow) -> bool:
    """Whether the row's last Attempt may hold devices, as far as the row itself knows."""
    return row.job is not None and row.released_at is None


def image(snapshot: Snapshot) -> str:
    """The image that was pinned at acceptance."""
    resolved = snapshot.benchmark.status.resolved
    return resolved.image if resolved is not None else snapshot.benchmark.spec.image or snapshot.defaults.image


def started(row: TrialRow, snapshot: Snapshot) -> TrialRow:
    """The row with a new Attempt, whose job may be created once the row is stored."""
    metadata, attempt = snapshot.benchmark.metadata, row.attempt + 1
    return TrialRow(
        trial=row.trial,
        point=row.point,
        devices=row.devices,
        repeat=row.repeat,
        phase=TrialPhase.STARTING,
        attempt=attempt,
        failures=row.failures,
        reason=row.reason,  # why the last Attempt was void
        job=attempt_name(metadata.name, metadata.uid, row.trial, attempt),
        waiting_since=row.waiting_since or moment(snapshot.now),
        queued_at=moment(snapshot.now),
    )


def adopt_unknown_attempt(row: TrialRow, attempt: int, snapshot: Snapshot) -> TrialRow:
    """A waiting row, after an Attempt was found that its status has lost: that Attempt is void."""
    metadata = snapshot.benchmark.metadata
    changes = {
        "phase": TrialPhase.STOPPING,
        "attempt": attempt,
        "job": attempt_name(metadata.name, metadata.uid, row.trial, attempt),
        "message": f"Attempt {attempt} is missing from the status",
        "ended_at": moment(snapshot.now),
    }
    return row.model_copy(update={**changes, "job_uid": None, "scheduled_at": None, "released_at": None})


def observed(
    row: TrialRow, state: AttemptState | None, trial: Trial, snapshot: Snapshot
) -> tuple[TrialRow, Report | None]:
    """The row updated from its Attempt, and the Report if that was measured."""
    if row.phase not in LIVE:
        return row, None
    if state is None:
        end = _without_job(row, snapshot)
    else:
        # Nothing is stored of an object that only has the Attempt's name.
        row = row if state.foreign else _updated(row, state, snapshot)
        end = diagnose(row, state, trial, snapshot.benchmark.spec, image(snapshot), snapshot.now)
    end = end or backoff.queue_timeout(row, snapshot)
    if end is None:
        return row, None
    return concluded(row, end, snapshot), end.report


def _without_job(row: TrialRow, snapshot: Snapshot) -> Diagnosis | None:
    """The end of a job that was seen and is gone; one that was never seen may still be created."""
    if row.job_uid is not None:
        return diagnosis(Reason.JOB_DELETED, f"Job {row.job} was deleted by somebody else")
    seconds = snapshot.benchmark.spec.limits.queued_seconds
    if row.queued_at is not None and snapshot.now >= row.queued_at + timedelta(seconds=seconds):
        sentence = f"Job {row.job} could not be created within limits.queuedSeconds, {seconds} s"
        return diagnosis(Reason.DEADLINE_EXCEEDED, f"{sentence}. {row.message}" if row.message else sentence)
    return None


def _updated(row: TrialRow, state: AttemptState, snapshot: Snapshot) -> TrialRow:
    """Stores what the cluster says about a live row, each fact when it is first seen."""
    scheduled, running_since = facts.scheduled_at(state), facts.started_at(state, snapshot.now)
    running = running_since is not None or row.phase is TrialPhase.RUNNING
    checksum = facts.pods_checksum(state) if facts.all_pods_exist(state) else None
    blocker = visible_blocker(row, state, snapshot.benchmark.spec.limits, image(snapshot))
    return row.model_copy(
        update={
            "phase": TrialPhase.RUNNING if running else TrialPhase.STARTING,
            "job_uid": row.job_uid or state.job_uid,
            "scheduled_at": row.scheduled_at or (moment(scheduled) if scheduled else None),
            # Kept over Attempts that did not get all of their nodes, so that their waits add up.
            "waiting_since": None if row.scheduled_at or scheduled else row.waiting_since,
            "started_at": row.started_at or (moment(running_since) if running_since else None),
            "ended_at": moment(snapshot.now) if has_first_sign_of_end(row, state) else row.ended_at,
            "pods_checksum": row.pods_checksum or checksum,
            "message": bounded(blocker.brief) if blocker is not None else "",
        }
    )


def concluded(row: TrialRow, end: Diagnosis, snapshot: Snapshot) -> TrialRow:
    """The row after its Attempt's end: a result, a void Attempt that another follows, or a failure."""
    now = moment(snapshot.now)
    # A limit is over now, however long ago a first pod has ended.
    first_sign = None if end.limit_over else row.ended_at
    changes: dict[str, object] = {"reason": end.reason, "ended_at": first_sign or now}
    if end.report is not None and end.report.measurement is not None:
        measurement = row_measurement(end.report.measurement, end.report.batch)
        changes |= {"phase": TrialPhase.SUCCEEDED, "measurement": measurement, "measured_at": now, "ended_at": now}
        return row.model_copy(update={**changes, "message": ""})
    counted = end.consequence is Consequence.RETRIED
    failures = row.failures + counted
    changes |= {"failures": failures, "message": bounded(end.message)}
    if end.consequence is Consequence.BACKS_OFF:
        changes |= {"phase": TrialPhase.STOPPING, "not_before": backoff.not_before(row, snapshot)}
        return row.model_copy(update=changes)
    if end.consequence is Consequence.RESUMED or (counted and failures <= snapshot.benchmark.spec.retries):
        return reset_wait(row.model_copy(update={**changes, "phase": TrialPhase.STOPPING}))
    if counted and failures > 1:
        changes["message"] = bounded(f"After {failures} failed attempts: {end.message}")
    return row.model_copy(update={**changes, "phase": TrialPhase.FAILED, "scope": end.consequence.value.scope})


def reset_wait(row: TrialRow) -> TrialRow:
    """The row without its time in the queue, which counts again from the next Attempt."""
    return row.model_copy(update={"waiting_since": None, "not_before": None})


def given_up(row: TrialRow, end: Diagnosis, snapshot: Snapshot) -> TrialRow:
    """The row of a Trial that is not tried again; a terminal row stays as it is."""
    return row if row.phase in TERMINAL else concluded(row, end, snapshot)


def suspended(row: TrialRow, end: Diagnosis, snapshot: Snapshot) -> TrialRow:
    """The row while its Benchmark is suspended: its Attempt is void, and waiting does not count."""
    if row.phase in LIVE:
        return concluded(row, end, snapshot)
    return row if row.phase in TERMINAL else reset_wait(row)


def skipped(row: TrialRow, sentence: str, snapshot: Snapshot) -> TrialRow:
    """A waiting row that is not needed any more."""
    changes = {"phase": TrialPhase.SKIPPED, "reason": Reason.CONVERGED, "message": bounded(sentence)}
    return row.model_copy(update={**changes, "ended_at": moment(snapshot.now)})


def released(row: TrialRow, snapshot: Snapshot) -> TrialRow:
    """The row once its Attempt holds no device; after a void Attempt it waits for its turn again."""
    changes: dict[str, object] = {"released_at": moment(snapshot.now)}
    if row.phase is TrialPhase.STOPPING:
        changes["phase"] = TrialPhase.PENDING
        if row.not_before is not None:
            # The back-off counts from now on, not from the decision to give the devices back.
            changes["not_before"] = backoff.not_before(row, snapshot)
    return row.model_copy(update=changes)


def row_measurement(measured: Measurement, batch: BatchTruth | None = None) -> RowMeasurement:
    """A Report's Measurement in the API's decimal strings."""
    steps = {f"step_seconds_{name}": seconds for name, seconds in measured.step_seconds}
    microbatches = batch.microbatches if batch is not None else None
    return RowMeasurement(**formatted(RowMeasurement, {**dict(measured), **steps, "microbatches": microbatches}))


def environment(report: Report, state: AttemptState | None) -> EnvironmentRow | None:
    """What the Report says it ran on, with the image that rank 0's pod really ran."""
    if report.environment is None:
        return None
    images = [pod.image_id for pod in state.pods if pod.index == 0] if state is not None else []
    fields = report.environment.model_dump()
    for name in ("flops_per_image", "peak_teraflops"):
        # A number beside the Measurement: an odd one is left out, and the result counts all the same.
        known = fields[name] is not None and isfinite(fields[name]) and fields[name] > 0
        fields[name] = decimal(fields[name]) if known else None
    return EnvironmentRow(image_id=images[0] if images else "", **fields)
