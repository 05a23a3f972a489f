"""Decides the next step of a Benchmark: its whole status, the jobs to create and to delete, and when to look again.

A decision follows from the stored status and the Snapshot alone, so it may be dropped, repeated or made twice.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.status import EnvironmentRow, Phase, PointRow, Resolved, Status, Summary, TrialPhase, TrialRow
from sdbench.api.status_gate import GateRow
from sdbench.core.attempt.diagnose import diagnosis
from sdbench.core.budget import (
    BudgetState,
    Spent,
    budget_state,
    device_seconds,
    exhausted,
    exhausted_at,
    give_up_unaffordable,
    running_cost,
)
from sdbench.core.format import PLAN_REFUSED, decimal
from sdbench.core.gate.verdict import judge, unjudged
from sdbench.core.measure.points import point_rows
from sdbench.core.measure.references import lookup
from sdbench.core.measure.step_fit import scaling_fits
from sdbench.core.plan.caps import devices_at_once
from sdbench.core.plan.estimate import plan_sentence, plan_size
from sdbench.core.plan.grid import PlanRefused, Trial
from sdbench.core.plan.validate import accept
from sdbench.core.schedule.actions import expires_at, jobs_to_create, jobs_to_delete, requeue_after
from sdbench.core.schedule.early_stop import skip_converged
from sdbench.core.schedule.next_trials import blocked_by_concurrency_cap, start_next
from sdbench.core.snapshot import CreateJob, Decision, Snapshot
from sdbench.core.status.conditions import backend_missing, backend_unavailable, dated, facts, refusal_facts
from sdbench.core.status.events import events_of_change
from sdbench.core.status.size_limit import within_size_limit
from sdbench.core.status.summary import summary, summary_reason
from sdbench.core.trial.backoff import queue_timeout
from sdbench.core.trial.outcome import Outcome, outcome
from sdbench.core.trial.row import (
    LIVE,
    TERMINAL,
    environment,
    given_up,
    may_hold_devices,
    observed,
    planned_row,
    released,
    suspended,
)
from sdbench.core.trial.teardown import row_holds_devices


@dataclass(frozen=True)
class Ledger:
    """What has happened so far; the rest of the status follows from it."""

    rows: tuple[TrialRow, ...]
    environments: tuple[EnvironmentRow, ...]
    spent_device_seconds: int


def decide(snapshot: Snapshot) -> Decision:
    """The next step of a Benchmark."""
    stored = snapshot.benchmark.status
    if snapshot.benchmark.metadata.deletion_timestamp is not None:
        return Decision(stored)
    if backend_missing(snapshot):
        return backend_unavailable(snapshot)
    try:
        resolved, planned = accept(snapshot)
    except PlanRefused as refusal:
        return _refuse(str(refusal), snapshot)
    ledger = Ledger(stored.trials or tuple(map(planned_row, planned)), stored.environments, stored.spent_device_seconds)
    ledger = _observe(ledger, planned, snapshot)
    ledger = _withdraw(ledger, planned, snapshot)
    ledger = _release(ledger, snapshot)
    ledger = replace(ledger, rows=skip_converged(ledger.rows, snapshot))
    budget = _budget(ledger, planned, snapshot)
    if not snapshot.benchmark.spec.suspend:
        ledger = replace(ledger, rows=give_up_unaffordable(ledger.rows, budget, snapshot))
    ledger = replace(ledger, rows=start_next(ledger.rows, budget, snapshot))
    # A Trial that has just been started counts against the budget, too.
    budget = _budget(ledger, planned, snapshot)
    others_first = blocked_by_concurrency_cap(ledger.rows, budget, snapshot)
    status = within_size_limit(_status(ledger, resolved, planned, snapshot, others_first))
    new_jobs = jobs_to_create(ledger.rows, planned, resolved.image, snapshot)
    return _decision(status, snapshot, new_jobs, exhausted_at(budget, ledger.rows), others_first)


def _observe(ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot) -> Ledger:
    """Updates each live row from its Attempt, and keeps the environment that a Measurement was made in."""
    states = {state.name: state for state in snapshot.attempts}
    environments, rows = ledger.environments, []
    for row, trial in zip(ledger.rows, planned, strict=True):
        state = states.get(row.job or "")
        updated, report = observed(row, state, trial, snapshot)
        ran_in = environment(report, state) if report is not None else None
        if ran_in is not None:
            # Most Trials run in the same few environments, so rows refer to them by index.
            environments = environments if ran_in in environments else (*environments, ran_in)
            updated = updated.model_copy(update={"environment": environments.index(ran_in)})
        rows.append(updated)
    return replace(ledger, rows=tuple(rows), environments=environments)


def _withdraw(ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot) -> Ledger:
    """Gives up or suspends the rows that are no longer wanted. A result that has just been stored is kept."""
    rows, spec = ledger.rows, snapshot.benchmark.spec
    if spec.cancel:
        end = diagnosis(Reason.CANCELLED, "Cancelled by spec.cancel")
        return replace(ledger, rows=tuple(given_up(row, end, snapshot) for row in rows))
    if spec.suspend:
        end = diagnosis(Reason.SUSPENDED, "Suspended by spec.suspend")
        rows = tuple(suspended(row, end, snapshot) for row in rows)
    elif nothing_left := exhausted(_budget(ledger, planned, snapshot)):
        rows = tuple(given_up(row, nothing_left, snapshot) for row in rows)
    fatal = [row for row in rows if row.scope in {Scope.SWEEP, Scope.POINT}]
    return replace(ledger, rows=tuple(_skip_if_ruled_out(row, fatal, snapshot) for row in rows))


def _skip_if_ruled_out(row: TrialRow, fatal: list[TrialRow], snapshot: Snapshot) -> TrialRow:
    """A waiting row, given up if a limit, its timeout in the queue or another row's failure rules it out."""
    if row.phase not in {TrialPhase.PENDING, TrialPhase.STOPPING}:
        return row
    # limits.maxDevices and the administrator's bound may have been lowered since the plan was accepted.
    allowed = devices_at_once(snapshot.benchmark.spec, snapshot.defaults.bounds)
    if row.devices > allowed.count:
        return given_up(row, diagnosis(Reason.SKIPPED, f"{allowed.named} is {allowed.count} now"), snapshot)
    if end := queue_timeout(row, snapshot):
        return given_up(row, end, snapshot)
    for other in fatal:
        if other.scope is Scope.SWEEP or other.point == row.point:
            why = f"Trial {other.trial} ({other.point}) ended with {other.reason}"
            return given_up(row, diagnosis(Reason.SKIPPED, why), snapshot)
    return row


def _release(ledger: Ledger, snapshot: Snapshot) -> Ledger:
    """Releases the rows whose devices are free now, and charges what they have cost."""
    live_before = {row.trial for row in snapshot.benchmark.status.trials if row.phase in LIVE}
    rows, freed, partly = [], 0, Decimal(0)
    for row in ledger.rows:
        if row.trial in live_before and row.phase not in LIVE and row.scheduled_at is None:
            # The Attempt ends without ever having had all of its devices, so it is charged for those that it had.
            partly += running_cost(row, snapshot)
        if may_hold_devices(row) and row.phase not in LIVE and not row_holds_devices(row, snapshot):
            row = released(row, snapshot)
            freed += device_seconds(row)
        rows.append(row)
    return replace(ledger, rows=tuple(rows), spent_device_seconds=ledger.spent_device_seconds + freed + int(partly))


def _budget(ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot) -> BudgetState | None:
    return budget_state(ledger.rows, ledger.spent_device_seconds, planned, snapshot)


def _status(
    ledger: Ledger, resolved: Resolved, planned: tuple[Trial, ...], snapshot: Snapshot, others_first: bool
) -> Status:
    """Everything that follows from the rows."""
    rows, benchmark = ledger.rows, snapshot.benchmark
    generation, end = benchmark.metadata.generation, outcome(rows)
    points, verdict = _judged(ledger, planned, snapshot)
    spent = Spent(ledger.spent_device_seconds, benchmark.spec.devices.hourly_price)
    plan = plan_size(planned, benchmark.spec)
    described = plan_sentence(plan, benchmark.spec, snapshot.defaults.bounds)
    shown = facts(rows, end, verdict, described, snapshot, others_first)
    return Status(
        observed_generation=generation,
        phase=_phase(rows, end, benchmark.spec.suspend),
        resolved=resolved,
        plan=plan,
        summary=summary(rows, points, spent, verdict, summary_reason(rows, end, others_first, snapshot)),
        trials=rows,
        points=points,
        scaling_fits=scaling_fits(points),
        environments=ledger.environments,
        gate=verdict,
        spent_device_seconds=spent.device_seconds,
        spent_cost=decimal(spent.cost),
        conditions=dated(shown, benchmark.status.conditions, generation, snapshot.now),
        # Fields of a newer version survive a rollback to this one.
        **(benchmark.status.model_extra or {}),
    )


def _judged(
    ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot
) -> tuple[tuple[PointRow, ...], GateRow | None]:
    """Points and verdict. Once everything has ended they are final, whatever becomes of the referenced Benchmarks."""
    stored, spec = snapshot.benchmark.status, snapshot.benchmark.spec
    over, others = outcome(stored.trials) is not None, lookup(snapshot.references)
    points = (stored.points if over else ()) or point_rows(
        ledger.rows, planned, spec, others, environments=ledger.environments
    )
    if spec.gate is None or outcome(ledger.rows) is None:
        return points, None
    if over and stored.gate is not None:
        return points, stored.gate
    answer = Status(trials=ledger.rows, points=points, environments=ledger.environments)
    return points, judge(snapshot.benchmark.model_copy(update={"status": answer}), spec.gate, planned, others)


def _phase(rows: tuple[TrialRow, ...], end: Outcome | None, suspend: bool) -> Phase:
    if end is not None:
        return Phase.SUCCEEDED if end.complete else Phase.FAILED
    if suspend:
        return Phase.SUSPENDED
    started = any(row.job is not None or row.phase in TERMINAL for row in rows)
    return Phase.RUNNING if started else Phase.PENDING


def _refuse(sentence: str, snapshot: Snapshot) -> Decision:
    """Refuses a question, which may be asked again: limits may change."""
    stored, generation = snapshot.benchmark.status, snapshot.benchmark.metadata.generation
    end = diagnosis(Reason.CONFIG_INVALID, sentence)
    rows = tuple(given_up(row, end, snapshot) for row in stored.trials)
    ledger = _release(Ledger(rows, stored.environments, stored.spent_device_seconds), snapshot)
    verdict = stored.gate
    if outcome(stored.trials) is None:
        # Not final: the question may be asked again.
        verdict = unjudged("The question was refused") if snapshot.benchmark.spec.gate is not None else None
    shown = stored.summary or Summary(trials=f"{len(rows)}/{len(rows)}")
    conditions = refusal_facts(ledger.rows, sentence, verdict, snapshot)
    status = stored.model_copy(
        update={
            "observed_generation": generation,
            "phase": Phase.FAILED,
            "summary": shown.model_copy(update={"reason": PLAN_REFUSED}),
            "trials": ledger.rows,
            "spent_device_seconds": ledger.spent_device_seconds,
            "gate": verdict,
            "conditions": dated(conditions, stored.conditions, generation, snapshot.now),
        }
    )
    return _decision(status, snapshot)


def _decision(
    status: Status,
    snapshot: Snapshot,
    new_jobs: tuple[CreateJob, ...] = (),
    budget_ends: datetime | None = None,
    others_first: bool = False,
) -> Decision:
    """What follows from the new status and the stored one, and when to look again."""
    stored = snapshot.benchmark.status
    changed, expiry = status != stored, expires_at(status, snapshot.benchmark.spec)
    return Decision(
        status=status,
        jobs_to_create=new_jobs,
        jobs_to_delete=jobs_to_delete(stored.trials, snapshot),
        events=events_of_change(stored, status),
        # A status that changes is stored and reported first.
        delete_self=not changed and expiry is not None and expiry <= snapshot.now,
        requeue_after=requeue_after(status.trials, changed, snapshot, (expiry, budget_ends), others_first),
    )
