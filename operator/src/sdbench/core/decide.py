"""What to do next? `decide`: from what is known to the whole status, and to what is started and stopped.

A decision is made from the stored status and the World alone, so it may be dropped, repeated or made twice:

1. look at the Attempts of the rows that are live, and keep what they left;
2. withdraw what is no longer wanted: cancelled, suspended, or without a hope after another's failure;
3. note whose devices are free, which a void Attempt's row needs to wait for its turn again, and spare what is not
   needed any more;
4. start what has its turn, if nothing that is not wanted holds devices;
5. sum up: points, verdict, conditions, phase. Starts follow from this new status, stops from the stored one.
"""

from dataclasses import dataclass, replace

from sdbench.api.spec import Spec
from sdbench.api.status import (
    EnvironmentRow,
    Phase,
    Plan,
    PointRow,
    Reason,
    Resolved,
    Scope,
    Status,
    TrialPhase,
    TrialRow,
)
from sdbench.api.verdict import GateRow
from sdbench.core import rows as row_states
from sdbench.core.acceptance import accepted
from sdbench.core.acts import look_again, starts, stops
from sdbench.core.causes import ended
from sdbench.core.conditions import dated, facts, refusal_facts
from sdbench.core.gate import judged, unjudged
from sdbench.core.law import laws
from sdbench.core.notices import notices
from sdbench.core.occupancy import in_the_way, ours
from sdbench.core.outcome import Outcome, outcome
from sdbench.core.plan import PlanRefused, Trial, trials
from sdbench.core.points import point_rows, summary
from sdbench.core.presets import chosen
from sdbench.core.published import decimal
from sdbench.core.references import source
from sdbench.core.repeats import without_the_needless
from sdbench.core.rows import LIVE, TERMINAL, unreleased
from sdbench.core.spent import Spent
from sdbench.core.world import Decision, World


@dataclass(frozen=True)
class Ledger:
    """What has happened so far; the rest of the status follows from it."""

    rows: tuple[TrialRow, ...]
    environments: tuple[EnvironmentRow, ...]
    spent_device_seconds: int


def decide(world: World) -> Decision:
    """The next step of a Benchmark."""
    stored = world.benchmark.status
    if world.benchmark.metadata.deletion_timestamp is not None:
        return Decision(stored)
    try:
        resolved, planned = _accepted(world)
    except PlanRefused as refusal:
        return _refused(str(refusal), world)
    ledger = _opened(planned, world)
    ledger = _observed(ledger, planned, world)
    ledger = _withdrawn(ledger, world)
    ledger = _released(ledger, world)
    ledger = replace(ledger, rows=without_the_needless(ledger.rows, world))
    ledger = _started(ledger, world)
    status = _status(ledger, resolved, planned, world)
    return Decision(
        status=status,
        starts=starts(ledger.rows, planned, resolved.image, world),
        stops=stops(stored.trials, world),
        notices=notices(stored, status),
        look_again=look_again(ledger.rows, status != stored, world),
    )


def _accepted(world: World) -> tuple[Resolved, tuple[Trial, ...]]:
    """What was pinned at acceptance, or is pinned now, and the plan; raises PlanRefused."""
    benchmark = world.benchmark
    if benchmark.status.resolved is not None:
        return benchmark.status.resolved, _same_plan(trials(benchmark.spec), benchmark.status.trials)
    image = benchmark.spec.image or world.defaults.image
    if not image:
        raise PlanRefused("spec.image", "name the trainer's image; the operator has no default")
    preset = chosen(benchmark.spec, world.defaults.presets)
    pinned = Resolved(image=image, operator_version=world.defaults.operator_version, preset=preset)
    return pinned, accepted(benchmark)


def _same_plan(planned: tuple[Trial, ...], rows: tuple[TrialRow, ...]) -> tuple[Trial, ...]:
    asked = [(trial.index, trial.point.label, trial.repeat) for trial in planned]
    if rows and asked != [(row.trial, row.point, row.repeat) for row in rows]:
        raise PlanRefused("status.trials", "these rows belong to another plan; create the benchmark anew")
    return planned


def _refused(sentence: str, world: World) -> Decision:
    """A question that cannot be asked. It may be asked again: limits may change."""
    stored, generation = world.benchmark.status, world.benchmark.metadata.generation
    end = ended(Reason.CONFIG_INVALID, sentence)
    rows = tuple(row_states.given_up(row, end, world) for row in stored.trials)
    ledger = _released(Ledger(rows, stored.environments, stored.spent_device_seconds), world)
    verdict = stored.gate if outcome(stored.trials) is not None else _refused_gate(world)
    said = refusal_facts(ledger.rows, sentence, verdict, world)
    status = stored.model_copy(
        update={
            "observed_generation": generation,
            "phase": Phase.FAILED,
            "trials": ledger.rows,
            "spent_device_seconds": ledger.spent_device_seconds,
            "gate": verdict,
            "conditions": dated(said, stored.conditions, generation, world.now),
        }
    )
    again = look_again(ledger.rows, status != stored, world)
    return Decision(status, stops=stops(stored.trials, world), notices=notices(stored, status), look_again=again)


def _refused_gate(world: World) -> GateRow | None:
    """Not for good: the question may be asked again."""
    return unjudged("The question was refused") if world.benchmark.spec.gate is not None else None


def _opened(planned: tuple[Trial, ...], world: World) -> Ledger:
    stored = world.benchmark.status
    rows = stored.trials or tuple(row_states.planned(trial) for trial in planned)
    return Ledger(rows, stored.environments, stored.spent_device_seconds)


def _observed(ledger: Ledger, planned: tuple[Trial, ...], world: World) -> Ledger:
    """Step 1: each live row after a look at its Attempt, and what it was measured on."""
    states = {state.name: state for state in world.attempts}
    environments, rows = ledger.environments, []
    for row, trial in zip(ledger.rows, planned, strict=True):
        state = states.get(row.job or "")
        seen, report = row_states.observed(row, state, trial, world)
        found = row_states.environment(report, state) if report is not None else None
        if found is not None:
            environments = environments if found in environments else (*environments, found)
            seen = seen.model_copy(update={"environment": environments.index(found)})
        rows.append(seen)
    return replace(ledger, rows=tuple(rows), environments=environments)


def _withdrawn(ledger: Ledger, world: World) -> Ledger:
    """Step 2: rows that are no longer wanted. A result that has just come is kept."""
    if world.benchmark.spec.cancel:
        end = ended(Reason.CANCELLED, "Cancelled by spec.cancel")
        return replace(ledger, rows=tuple(row_states.given_up(row, end, world) for row in ledger.rows))
    rows = ledger.rows
    if world.benchmark.spec.suspend:
        end = ended(Reason.SUSPENDED, "Suspended by spec.suspend")
        rows = tuple(row_states.concluded(row, end, world) if row.phase in LIVE else row for row in rows)
    fatal = [row for row in rows if row.scope in {Scope.SWEEP, Scope.POINT}]
    return replace(ledger, rows=tuple(_hopeful(row, fatal, world) for row in rows))


def _hopeful(row: TrialRow, fatal: list[TrialRow], world: World) -> TrialRow:
    """A row that waits for its turn, unless another's failure or a limit leaves it without a hope."""
    if row.phase not in {TrialPhase.PENDING, TrialPhase.STOPPING}:
        return row
    allowed = world.benchmark.spec.limits.max_devices
    if row.devices > allowed:
        return row_states.given_up(row, ended(Reason.SKIPPED, f"limits.maxDevices is {allowed} now"), world)
    for other in fatal:
        if other.scope is Scope.SWEEP or other.point == row.point:
            why = f"Trial {other.trial} ({other.point}) ended with {other.reason}"
            return row_states.given_up(row, ended(Reason.SKIPPED, why), world)
    return row


def _released(ledger: Ledger, world: World) -> Ledger:
    """Step 3: rows whose devices are free now, and what they have cost."""
    rows = tuple(row_states.released(row, world) for row in ledger.rows)
    freed = [new for old, new in zip(ledger.rows, rows, strict=True) if unreleased(old) and not unreleased(new)]
    spent = ledger.spent_device_seconds + sum(row_states.device_seconds(row) for row in freed)
    return replace(ledger, rows=rows, spent_device_seconds=spent)


def _started(ledger: Ledger, world: World) -> Ledger:
    """Step 4: the next Trials in the plan's order, up to spec.parallelism at once."""
    rows = [_numbered(row, world) for row in ledger.rows]
    free = world.benchmark.spec.parallelism - sum(row.phase in LIVE for row in rows)
    if not world.benchmark.spec.suspend and not in_the_way(tuple(rows), world):
        waiting = [index for index, row in enumerate(rows) if row.phase is TrialPhase.PENDING]
        for index in waiting[: max(0, free)]:
            rows[index] = row_states.started(rows[index], world)
    return replace(ledger, rows=tuple(rows))


def _numbered(row: TrialRow, world: World) -> TrialRow:
    """A waiting row that counts from the last Attempt of its Trial, even if its status was lost: no name twice."""
    if row.phase is not TrialPhase.PENDING:
        return row
    known = [state.attempt for state in world.attempts if state.trial == row.trial and ours(state, world)]
    last = max(known, default=0)
    if last <= row.attempt:
        return row
    return row_states.forgotten(row, last, world)


def _status(ledger: Ledger, resolved: Resolved, planned: tuple[Trial, ...], world: World) -> Status:
    """Step 5: everything that follows from the rows."""
    rows, benchmark = ledger.rows, world.benchmark
    end, size = outcome(rows), _size(planned)
    points, verdict = _judged(ledger, planned, world)
    spent = Spent(ledger.spent_device_seconds, benchmark.spec.devices.hourly_price)
    standing = facts(rows, end, verdict, _sentence(size, benchmark.spec), world)
    return Status(
        observed_generation=benchmark.metadata.generation,
        phase=_phase(rows, end, benchmark.spec),
        resolved=resolved,
        plan=size,
        summary=summary(rows, points, spent, verdict),
        trials=rows,
        points=points,
        laws=laws(points),
        environments=ledger.environments,
        gate=verdict,
        spent_device_seconds=spent.device_seconds,
        spent_cost=decimal(spent.cost),
        conditions=dated(standing, benchmark.status.conditions, benchmark.metadata.generation, world.now),
    )


def _judged(ledger: Ledger, planned: tuple[Trial, ...], world: World) -> tuple[tuple[PointRow, ...], GateRow | None]:
    """Points and verdict; once everything has ended they stay, whatever becomes of the Benchmarks they refer to."""
    stored, spec = world.benchmark.status, world.benchmark.spec
    over, others = outcome(stored.trials) is not None, source(world.references)
    points = (stored.points if over else ()) or point_rows(
        ledger.rows, planned, spec, others, environments=ledger.environments
    )
    if spec.gate is None or outcome(ledger.rows) is None:
        return points, None
    if over and stored.gate is not None:
        return points, stored.gate
    answer = Status(trials=ledger.rows, points=points, environments=ledger.environments)
    return points, judged(world.benchmark.model_copy(update={"status": answer}), spec.gate, planned, others)


def _size(planned: tuple[Trial, ...]) -> Plan:
    points = {trial.point.label: trial.point.devices for trial in planned}
    return Plan(trials=len(planned), points=len(points), largest_devices=max(points.values()))


def _sentence(size: Plan, spec: Spec) -> str:
    most = size.largest_devices * spec.parallelism
    return f"{size.trials} trials of {size.points} points, with at most {most} devices at once"


def _phase(rows: tuple[TrialRow, ...], end: Outcome | None, spec: Spec) -> Phase:
    if end is not None:
        return Phase.SUCCEEDED if end.complete else Phase.FAILED
    if spec.suspend:
        return Phase.SUSPENDED
    begun = any(row.job is not None or row.phase in TERMINAL for row in rows)
    return Phase.RUNNING if begun else Phase.PENDING
