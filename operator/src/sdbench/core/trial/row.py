"""What is the next state of one Trial's row?

    Pending ─► Starting ─► Running ─► Succeeded, Failed ─► released
      ▲  └─► Skipped           │
      └─ released ─┴─ Stopping ┘   (void: interrupted, lost, suspended; or it gave its devices back, see backoff.py)

Each function takes a row and returns the next; a row that nothing concerns comes back as it was.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from math import isfinite

from sdbench.api.consequences import Consequence
from sdbench.api.names import attempt_name
from sdbench.api.reasons import Reason
from sdbench.api.status import EnvironmentRow, RowMeasurement, TrialPhase, TrialRow
from sdbench.core.attempt import facts
from sdbench.core.attempt.blockers import blockers
from sdbench.core.attempt.diagnose import Diagnosis, diagnose, diagnosis, has_first_sign_of_end
from sdbench.core.format import bounded, decimal, moment, signed
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import AttemptState, Snapshot
from sdbench.core.trial import backoff
from sdbench_trainer.report import BatchTruth, Measurement, Report

LIVE = {TrialPhase.STARTING, TrialPhase.RUNNING}
"""Phases in which the row's Attempt is wanted."""

TERMINAL = {TrialPhase.SUCCEEDED, TrialPhase.FAILED, TrialPhase.SKIPPED}


def planned_row(trial: Trial) -> TrialRow:
    """The row of a Trial of which nothing has happened."""
    return TrialRow(trial=trial.index, point=trial.point.label, devices=trial.point.devices, repeat=trial.repeat)


def unreleased(row: TrialRow) -> bool:
    """Whether the row's last Attempt may hold devices."""
    return row.job is not None and row.released_at is None


def started(row: TrialRow, snapshot: Snapshot) -> TrialRow:
    """The row with a new Attempt, which may be created once this is stored; it keeps why the last one was void."""
    metadata, attempt = snapshot.benchmark.metadata, row.attempt + 1
    return TrialRow(
        trial=row.trial,
        point=row.point,
        devices=row.devices,
        repeat=row.repeat,
        phase=TrialPhase.STARTING,
        attempt=attempt,
        failures=row.failures,
        reason=row.reason,
        job=attempt_name(metadata.name, metadata.uid, row.trial, attempt),
        waiting_since=row.waiting_since or moment(snapshot.now),
        queued_at=moment(snapshot.now),
    )


def adopt_unknown_attempt(row: TrialRow, attempt: int, snapshot: Snapshot) -> TrialRow:
    """A waiting row of which an Attempt is found that it does not know of: a lost status. That one is void."""
    metadata = snapshot.benchmark.metadata
    changes = {
        "phase": TrialPhase.STOPPING,
        "attempt": attempt,
        "job": attempt_name(metadata.name, metadata.uid, row.trial, attempt),
        "message": f"Attempt {attempt} is not known to the status",
        "ended_at": moment(snapshot.now),
    }
    return row.model_copy(update={**changes, "job_uid": None, "scheduled_at": None, "released_at": None})


def observed(
    row: TrialRow, state: AttemptState | None, trial: Trial, snapshot: Snapshot
) -> tuple[TrialRow, Report | None]:
    """The row after a look at its Attempt, and the Report if that was measured."""
    if row.phase not in LIVE:
        return row, None
    end = _absent(row, snapshot) if state is None else None
    if state is not None:
        row = row if state.foreign else _seen(row, state, snapshot)
        end = diagnose(row, state, trial, snapshot.benchmark.spec, image(snapshot), snapshot.now)
    end = end or backoff.queue_timeout(row, snapshot)
    if end is None:
        return row, None
    return concluded(row, end, snapshot), end.report


def image(snapshot: Snapshot) -> str:
    """The image that was pinned at acceptance."""
    resolved = snapshot.benchmark.status.resolved
    return resolved.image if resolved is not None else snapshot.benchmark.spec.image or snapshot.defaults.image


def _absent(row: TrialRow, snapshot: Snapshot) -> Diagnosis | None:
    """A job that was seen and is gone has ended; one that was never seen may still be created."""
    if row.job_uid is not None:
        return diagnosis(Reason.JOB_DELETED, f"Job {row.job} was deleted by somebody else")
    seconds = snapshot.benchmark.spec.limits.queued_seconds
    if row.queued_at is not None and snapshot.now >= row.queued_at + timedelta(seconds=seconds):
        sentence = f"Job {row.job} could not be created within limits.queuedSeconds, {seconds} s"
        return diagnosis(Reason.DEADLINE_EXCEEDED, f"{sentence}. {row.message}" if row.message else sentence)
    return None


def _seen(row: TrialRow, state: AttemptState, snapshot: Snapshot) -> TrialRow:
    """What the cluster adds to a live row: each fact once, when it is first seen."""
    scheduled, begun = facts.scheduled_at(state), facts.started_at(state, snapshot.now)
    running = begun is not None or row.phase is TrialPhase.RUNNING
    return row.model_copy(
        update={
            "phase": TrialPhase.RUNNING if running else TrialPhase.STARTING,
            "job_uid": row.job_uid or state.job_uid,
            "scheduled_at": row.scheduled_at or _moment(scheduled),
            "waiting_since": None if row.scheduled_at or scheduled else row.waiting_since,
            "started_at": row.started_at or _moment(begun),
            "ended_at": moment(snapshot.now) if has_first_sign_of_end(row, state) else row.ended_at,
            "pods_checksum": row.pods_checksum or _checksum(state),
            "message": _in_the_way(row, state, snapshot),
        }
    )


def _moment(time: datetime | None) -> datetime | None:
    return moment(time) if time is not None else None


def _checksum(state: AttemptState) -> str | None:
    return facts.pods_checksum(state) if facts.all_pods_exist(state) else None


def _in_the_way(row: TrialRow, state: AttemptState, snapshot: Snapshot) -> str:
    """What a person should know while the Attempt waits; a deadline, or half a gang for a moment, is no news."""
    for blocker in blockers(row, state, snapshot.benchmark.spec.limits, image(snapshot)):
        if blocker.reason is not Reason.DEADLINE_EXCEEDED and blocker.consequence is not Consequence.BACKS_OFF:
            return bounded(blocker.brief)
    return ""


def concluded(row: TrialRow, end: Diagnosis, snapshot: Snapshot) -> TrialRow:
    """The row after its Attempt's end: a result, a void Attempt with another to follow, or a failure."""
    now = moment(snapshot.now)
    seen = None if end.limit_over else row.ended_at
    changes: dict[str, object] = {"reason": end.reason, "ended_at": seen or now}
    if end.report is not None and end.report.measurement is not None:
        measurement = row_measurement(end.report.measurement, end.report.batch)
        changes |= {"phase": TrialPhase.SUCCEEDED, "measurement": measurement, "measured_at": now, "ended_at": now}
        return row.model_copy(update={**changes, "message": ""})
    failures = row.failures + (end.consequence is Consequence.RETRIED)
    changes |= {"failures": failures, "message": bounded(end.message)}
    if end.consequence is Consequence.BACKS_OFF:
        return row.model_copy(
            update={**changes, "phase": TrialPhase.STOPPING, "not_before": backoff.not_before(row, snapshot)}
        )
    if end.consequence is Consequence.RESUMED or _another_try(end, failures, snapshot):
        return reset_wait(row.model_copy(update={**changes, "phase": TrialPhase.STOPPING}))
    if end.consequence is Consequence.RETRIED and failures > 1:
        changes["message"] = bounded(f"After {failures} failed attempts: {end.message}")
    return row.model_copy(update={**changes, "phase": TrialPhase.FAILED, "scope": end.consequence.value.scope})


def reset_wait(row: TrialRow) -> TrialRow:
    """The row when its waiting is over for now: it will be counted from the next Attempt."""
    return row.model_copy(update={"waiting_since": None, "not_before": None})


def _another_try(end: Diagnosis, failures: int, snapshot: Snapshot) -> bool:
    return end.consequence is Consequence.RETRIED and failures <= snapshot.benchmark.spec.retries


def given_up(row: TrialRow, end: Diagnosis, snapshot: Snapshot) -> TrialRow:
    """A row that is not tried (again), whatever it was doing; a terminal row stays as it is."""
    return row if row.phase in TERMINAL else concluded(row, end, snapshot)


def suspended(row: TrialRow, end: Diagnosis, snapshot: Snapshot) -> TrialRow:
    """The row of a suspended Benchmark: its Attempt is void, and time does not count while nobody wants it."""
    if row.phase in LIVE:
        return concluded(row, end, snapshot)
    return row if row.phase in TERMINAL else reset_wait(row)


def skipped(row: TrialRow, sentence: str, snapshot: Snapshot) -> TrialRow:
    """A waiting row that is not needed any more."""
    changes = {"phase": TrialPhase.SKIPPED, "reason": Reason.CONVERGED, "message": bounded(sentence)}
    return row.model_copy(update={**changes, "ended_at": moment(snapshot.now)})


def released(row: TrialRow, snapshot: Snapshot) -> TrialRow:
    """The row of which no Attempt holds devices any more; a void Attempt's row waits for its turn again."""
    changes: dict[str, object] = {"released_at": moment(snapshot.now)}
    if row.phase is TrialPhase.STOPPING:
        changes["phase"] = TrialPhase.PENDING
    if row.phase is TrialPhase.STOPPING and row.not_before is not None:
        changes["not_before"] = backoff.not_before(row, snapshot)
    return row.model_copy(update=changes)


def row_measurement(measured: Measurement, batch: BatchTruth | None = None) -> RowMeasurement:
    """A Report's Measurement in the API's decimal strings."""
    return RowMeasurement(
        images_per_second=decimal(measured.images_per_second),
        median_images_per_second=decimal(measured.median_images_per_second),
        batches=measured.batches,
        seconds=decimal(measured.seconds),
        step_seconds_p5=decimal(measured.step_seconds.p5),
        step_seconds_p50=decimal(measured.step_seconds.p50),
        step_seconds_p95=decimal(measured.step_seconds.p95),
        drift_ratio=signed(measured.drift_ratio),
        rank_skew_ratio=decimal(measured.rank_skew_ratio),
        data_wait_ratio_max=decimal(measured.data_wait_ratio_max),
        data_wait_ratio_mean=decimal(measured.data_wait_ratio_mean),
        host_memory_peak_bytes=measured.host_memory_peak_bytes,
        device_memory_peak_bytes=measured.device_memory_peak_bytes,
        loss=signed(measured.loss),
        mfu_ratio=_optional(measured.mfu_ratio),
        foreign_cpu_ratio=_optional(measured.foreign_cpu_ratio),
        steal_ratio=_optional(measured.steal_ratio),
        disturbed=measured.disturbed,
        replaced_samples=measured.replaced_samples,
        microbatches=batch.microbatches if batch is not None else None,
    )


def _optional(value: float | None) -> Decimal | None:
    return decimal(value) if value is not None else None


def _told(value: float | None) -> Decimal | None:
    """A number beside the Measurement; one that is none is as good as untold."""
    return decimal(value) if value is not None and isfinite(value) and value > 0 else None


def environment(report: Report, state: AttemptState | None) -> EnvironmentRow | None:
    """On what it was measured: the Report's word, and the image that rank 0's pod really ran."""
    if report.environment is None:
        return None
    rank0 = [pod.image_id for pod in state.pods if pod.index == 0] if state is not None else []
    seen = report.environment
    numbers = {"flops_per_image": _told(seen.flops_per_image), "peak_teraflops": _told(seen.peak_teraflops)}
    return EnvironmentRow(image_id=rank0[0] if rank0 else "", **{**seen.model_dump(), **numbers})
