"""What to do next? `decide`: from what is known to the whole status, and to what is started and stopped.

A decision is made from the stored status and the World alone, so it may be dropped, repeated or made twice:

1. look at the Attempts of the rows that are live, and keep what they left;
2. withdraw what is no longer wanted: cancelled, suspended, beyond the budget, or without a hope;
3. note whose devices are free, which a void Attempt's row needs to wait for its turn again, and spare what is not
   needed any more or cannot be paid;
4. start what has its turn;
5. sum up: points, verdict, conditions, phase. Starts follow from this new status, stops from the stored one.
"""

from dataclasses import dataclass, replace

from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.spec import Spec
from sdbench.api.status import EnvironmentRow, Phase, PointRow, Status, TrialPhase, TrialRow
from sdbench.api.status_gate import GateRow
from sdbench.api.status_resolved import Resolved
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
from sdbench.core.format import decimal
from sdbench.core.gate.verdict import judge, unjudged
from sdbench.core.measure.points import point_rows
from sdbench.core.measure.references import lookup
from sdbench.core.measure.step_fit import scaling_fits
from sdbench.core.plan.caps import devices_at_once
from sdbench.core.plan.estimate import plan_sentence, plan_size
from sdbench.core.plan.grid import PlanRefused, Trial, trials
from sdbench.core.plan.validate import accepted, chosen_preset
from sdbench.core.schedule.actions import expires_at, jobs_to_create, jobs_to_delete, requeue_after
from sdbench.core.schedule.early_stop import skip_converged
from sdbench.core.schedule.next_trials import blocked_by_concurrency_cap, start_next
from sdbench.core.snapshot import CreateJob, Decision, Snapshot
from sdbench.core.status.conditions import backend_missing, backend_unavailable, dated, facts, refusal_facts
from sdbench.core.status.events import events_of_change
from sdbench.core.status.size_limit import within_size_limit
from sdbench.core.status.summary import summary
from sdbench.core.trial import row as row_states
from sdbench.core.trial.backoff import queue_timeout
from sdbench.core.trial.outcome import Outcome, outcome
from sdbench.core.trial.row import LIVE, TERMINAL, unreleased
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
        resolved, planned = _accepted(snapshot)
    except PlanRefused as refusal:
        return _refused(str(refusal), snapshot)
    ledger = _opened(planned, snapshot)
    ledger = _observed(ledger, planned, snapshot)
    ledger = _withdrawn(ledger, _purse(ledger, planned, snapshot), snapshot)
    ledger = _released(ledger, snapshot)
    ledger = replace(ledger, rows=skip_converged(ledger.rows, snapshot))
    ledger = _started(ledger, _purse(ledger, planned, snapshot), snapshot)
    status = within_size_limit(_status(ledger, resolved, planned, snapshot))
    return _decision(
        status,
        _purse(ledger, planned, snapshot),
        snapshot,
        jobs_to_create(ledger.rows, planned, resolved.image, snapshot),
    )


def _decision(
    status: Status, found: BudgetState | None, snapshot: Snapshot, begun: tuple[CreateJob, ...] = ()
) -> Decision:
    """What follows from the new status and the stored one, and when to look again."""
    stored, spec, rows = snapshot.benchmark.status, snapshot.benchmark.spec, status.trials
    changed, expiry = status != stored, expires_at(status, spec)
    awaited = (expiry, exhausted_at(found, rows))
    return Decision(
        status=status,
        jobs_to_create=begun,
        jobs_to_delete=jobs_to_delete(stored.trials, snapshot),
        events=events_of_change(stored, status),
        delete_self=not changed and expiry is not None and expiry <= snapshot.now,
        requeue_after=requeue_after(
            rows, changed, snapshot, awaited, blocked_by_concurrency_cap(rows, found, snapshot)
        ),
    )


def _purse(ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot) -> BudgetState | None:
    return budget_state(ledger.rows, ledger.spent_device_seconds, planned, snapshot)


def _accepted(snapshot: Snapshot) -> tuple[Resolved, tuple[Trial, ...]]:
    """What was pinned at acceptance, or is pinned now, and the plan; raises PlanRefused."""
    benchmark = snapshot.benchmark
    if benchmark.status.resolved is not None:
        return benchmark.status.resolved, _same_plan(trials(benchmark.spec), benchmark.status.trials)
    image = benchmark.spec.image or snapshot.defaults.image
    if not image:
        raise PlanRefused("spec.image", "name the trainer's image; the operator has no default")
    preset = chosen_preset(benchmark.spec, snapshot.defaults.presets)
    version, workload = snapshot.defaults.operator_version, snapshot.defaults.workload
    pinned = Resolved(image=image, operator_version=version, preset=preset, workload=workload)
    return pinned, accepted(benchmark, snapshot.defaults.bounds)


def _same_plan(planned: tuple[Trial, ...], rows: tuple[TrialRow, ...]) -> tuple[Trial, ...]:
    asked = [(trial.index, trial.point.label, trial.repeat) for trial in planned]
    if rows and asked != [(row.trial, row.point, row.repeat) for row in rows]:
        raise PlanRefused("status.trials", "these rows belong to another plan; create the benchmark anew")
    return planned


def _refused(sentence: str, snapshot: Snapshot) -> Decision:
    """A question that cannot be asked. It may be asked again: limits may change."""
    stored, generation = snapshot.benchmark.status, snapshot.benchmark.metadata.generation
    end = diagnosis(Reason.CONFIG_INVALID, sentence)
    rows = tuple(row_states.given_up(row, end, snapshot) for row in stored.trials)
    ledger = _released(Ledger(rows, stored.environments, stored.spent_device_seconds), snapshot)
    verdict = stored.gate if outcome(stored.trials) is not None else _refused_gate(snapshot)
    said = refusal_facts(ledger.rows, sentence, verdict, snapshot)
    status = stored.model_copy(
        update={
            "observed_generation": generation,
            "phase": Phase.FAILED,
            "trials": ledger.rows,
            "spent_device_seconds": ledger.spent_device_seconds,
            "gate": verdict,
            "conditions": dated(said, stored.conditions, generation, snapshot.now),
        }
    )
    return _decision(status, None, snapshot)


def _refused_gate(snapshot: Snapshot) -> GateRow | None:
    """Not for good: the question may be asked again."""
    return unjudged("The question was refused") if snapshot.benchmark.spec.gate is not None else None


def _opened(planned: tuple[Trial, ...], snapshot: Snapshot) -> Ledger:
    stored = snapshot.benchmark.status
    rows = stored.trials or tuple(row_states.planned_row(trial) for trial in planned)
    return Ledger(rows, stored.environments, stored.spent_device_seconds)


def _observed(ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot) -> Ledger:
    """Step 1: each live row after a look at its Attempt, and what it was measured on."""
    states = {state.name: state for state in snapshot.attempts}
    environments, rows = ledger.environments, []
    for row, trial in zip(ledger.rows, planned, strict=True):
        state = states.get(row.job or "")
        seen, report = row_states.observed(row, state, trial, snapshot)
        found = row_states.environment(report, state) if report is not None else None
        if found is not None:
            environments = environments if found in environments else (*environments, found)
            seen = seen.model_copy(update={"environment": environments.index(found)})
        rows.append(seen)
    return replace(ledger, rows=tuple(rows), environments=environments)


def _withdrawn(ledger: Ledger, found: BudgetState | None, snapshot: Snapshot) -> Ledger:
    """Step 2: rows that are no longer wanted. A result that has just come is kept."""
    if snapshot.benchmark.spec.cancel:
        end = diagnosis(Reason.CANCELLED, "Cancelled by spec.cancel")
        return replace(ledger, rows=tuple(row_states.given_up(row, end, snapshot) for row in ledger.rows))
    rows = ledger.rows
    if snapshot.benchmark.spec.suspend:
        end = diagnosis(Reason.SUSPENDED, "Suspended by spec.suspend")
        rows = tuple(row_states.suspended(row, end, snapshot) for row in rows)
    elif nothing_left := exhausted(found):
        rows = tuple(row_states.given_up(row, nothing_left, snapshot) for row in rows)
    fatal = [row for row in rows if row.scope in {Scope.SWEEP, Scope.POINT}]
    return replace(ledger, rows=tuple(_hopeful(row, fatal, snapshot) for row in rows))


def _hopeful(row: TrialRow, fatal: list[TrialRow], snapshot: Snapshot) -> TrialRow:
    """A row that waits for its turn, unless another's failure or a limit leaves it without a hope."""
    if row.phase not in {TrialPhase.PENDING, TrialPhase.STOPPING}:
        return row
    allowed = devices_at_once(snapshot.benchmark.spec, snapshot.defaults.bounds)
    if row.devices > allowed.count:
        return row_states.given_up(row, diagnosis(Reason.SKIPPED, f"{allowed.named} is {allowed.count} now"), snapshot)
    if end := queue_timeout(row, snapshot):
        return row_states.given_up(row, end, snapshot)
    for other in fatal:
        if other.scope is Scope.SWEEP or other.point == row.point:
            why = f"Trial {other.trial} ({other.point}) ended with {other.reason}"
            return row_states.given_up(row, diagnosis(Reason.SKIPPED, why), snapshot)
    return row


def _released(ledger: Ledger, snapshot: Snapshot) -> Ledger:
    """Step 3: rows whose devices are free now, and what they have cost."""
    free = [unreleased(row) and row.phase not in LIVE and not row_holds_devices(row, snapshot) for row in ledger.rows]
    rows = tuple(row_states.released(row, snapshot) if now else row for row, now in zip(ledger.rows, free, strict=True))
    freed = sum(device_seconds(row) for row, now in zip(rows, free, strict=True) if now)
    return replace(
        ledger, rows=rows, spent_device_seconds=ledger.spent_device_seconds + freed + _partly(ledger, snapshot)
    )


def _partly(ledger: Ledger, snapshot: Snapshot) -> int:
    """What Attempts cost that end now without ever having had all of their devices."""
    live = {row.trial for row in snapshot.benchmark.status.trials if row.phase in LIVE}
    over = [row for row in ledger.rows if row.trial in live and row.phase not in LIVE and row.scheduled_at is None]
    return int(sum(running_cost(row, snapshot) for row in over))


def _started(ledger: Ledger, found: BudgetState | None, snapshot: Snapshot) -> Ledger:
    """Step 4: the next Trials; without a suspension, those that cannot be paid are given up."""
    payable = ledger.rows if snapshot.benchmark.spec.suspend else give_up_unaffordable(ledger.rows, found, snapshot)
    return replace(ledger, rows=start_next(payable, found, snapshot))


def _status(ledger: Ledger, resolved: Resolved, planned: tuple[Trial, ...], snapshot: Snapshot) -> Status:
    """Step 5: everything that follows from the rows."""
    rows, benchmark = ledger.rows, snapshot.benchmark
    end, plan, found = outcome(rows), plan_size(planned, benchmark.spec), _purse(ledger, planned, snapshot)
    points, verdict = _judged(ledger, planned, snapshot)
    spent = Spent(ledger.spent_device_seconds, benchmark.spec.devices.hourly_price)
    described = plan_sentence(plan, benchmark.spec, snapshot.defaults.bounds)
    standing = facts(rows, end, verdict, described, snapshot, blocked_by_concurrency_cap(rows, found, snapshot))
    return Status(
        observed_generation=benchmark.metadata.generation,
        phase=_phase(rows, end, benchmark.spec),
        resolved=resolved,
        plan=plan,
        summary=summary(rows, points, spent, verdict),
        trials=rows,
        points=points,
        scaling_fits=scaling_fits(points),
        environments=ledger.environments,
        gate=verdict,
        spent_device_seconds=spent.device_seconds,
        spent_cost=decimal(spent.cost),
        conditions=dated(standing, benchmark.status.conditions, benchmark.metadata.generation, snapshot.now),
        **(benchmark.status.model_extra or {}),
    )


def _judged(
    ledger: Ledger, planned: tuple[Trial, ...], snapshot: Snapshot
) -> tuple[tuple[PointRow, ...], GateRow | None]:
    """Points and verdict; once everything has ended they stay, whatever becomes of the Benchmarks they refer to."""
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


def _phase(rows: tuple[TrialRow, ...], end: Outcome | None, spec: Spec) -> Phase:
    if end is not None:
        return Phase.SUCCEEDED if end.complete else Phase.FAILED
    if spec.suspend:
        return Phase.SUSPENDED
    begun = any(row.job is not None or row.phase in TERMINAL for row in rows)
    return Phase.RUNNING if begun else Phase.PENDING
