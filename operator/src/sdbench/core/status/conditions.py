"""Builds the metav1.Conditions of a Benchmark, for people, `kubectl wait` and kstatus.

`Accepted`, `Running`, `Suspended` and `CleanedUp` are always there; `Complete` and `Failed` from the end on;
`GatePassed` with a gate, Unknown until the end and while anything is missing. `Reconciling` is there until everything
is cleaned up, and `Stalled` comes with `Failed`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sdbench.api.reasons import Reason, with_remedy
from sdbench.api.status import Condition, ConditionStatus, ConditionType, Summary, TrialRow
from sdbench.api.status_gate import GateRow, Verdict
from sdbench.core.format import CONDITION_CHARACTERS, PLAN_REFUSED, WAITS_FOR_DEVICES, WAITS_FOR_OTHERS, bounded, moment
from sdbench.core.snapshot import Decision, Event, Snapshot
from sdbench.core.trial.outcome import Outcome, outcome
from sdbench.core.trial.row import LIVE, may_hold_devices
from sdbench.core.trial.teardown import leftovers_of_previous, overdue_teardown, teardown_pending

STATUSES = {True: ConditionStatus.TRUE, False: ConditionStatus.FALSE, None: ConditionStatus.UNKNOWN}


@dataclass(frozen=True)
class Fact:
    """A condition without its times."""

    type: ConditionType
    holds: bool | None
    """None: unknown."""
    reason: str
    message: str = ""


def dated(
    facts: tuple[Fact, ...], stored: tuple[Condition, ...], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The facts as conditions; lastTransitionTime moves only when the status does."""
    since = {(condition.type, condition.status): condition.last_transition_time for condition in stored}
    return tuple(
        Condition(
            type=fact.type,
            status=STATUSES[fact.holds],
            reason=fact.reason,
            message=bounded(fact.message, CONDITION_CHARACTERS),
            last_transition_time=since.get((fact.type, STATUSES[fact.holds]), moment(now)),
            observed_generation=generation,
        )
        for fact in facts
    )


def refusal_facts(
    rows: tuple[TrialRow, ...], sentence: str, verdict: GateRow | None, snapshot: Snapshot
) -> tuple[Fact, ...]:
    """The facts about a refused question: failed, and usually nothing is left to clean up."""
    clean = not teardown_pending(rows, snapshot)
    return (
        Fact(ConditionType.ACCEPTED, False, PLAN_REFUSED, sentence),
        Fact(ConditionType.FAILED, True, PLAN_REFUSED, sentence),
        *_gate(verdict, snapshot),
        Fact(ConditionType.CLEANED_UP, clean, "DevicesFree" if clean else "CleaningUp"),
        *(() if clean else (Fact(ConditionType.RECONCILING, True, "CleaningUp"),)),
        Fact(ConditionType.STALLED, True, PLAN_REFUSED, sentence),
    )


def unavailable_facts(
    rows: tuple[TrialRow, ...], end: Outcome | None, said: str, snapshot: Snapshot
) -> tuple[Fact, ...]:
    """The facts while the cluster does not serve PyTorchJobs: stalled, until somebody installs them."""
    return (
        Fact(ConditionType.ACCEPTED, False, Reason.BACKEND_UNAVAILABLE, said),
        _running(rows, end, False, snapshot),
        _suspended(rows, end, snapshot.benchmark.spec.suspend),
        *_end(end),
        *_gate(snapshot.benchmark.status.gate, snapshot),
        Fact(ConditionType.CLEANED_UP, False, Reason.BACKEND_UNAVAILABLE, "It is not known what still runs"),
        Fact(ConditionType.STALLED, True, Reason.BACKEND_UNAVAILABLE, said),
    )


def facts(
    rows: tuple[TrialRow, ...],
    end: Outcome | None,
    verdict: GateRow | None,
    plan: str,
    snapshot: Snapshot,
    others_first: bool = False,
) -> tuple[Fact, ...]:
    """The facts about an accepted question.

    `plan` describes it in a sentence; `others_first` says that it waits for other Benchmarks.
    """
    return (
        Fact(ConditionType.ACCEPTED, True, "PlanAccepted", plan),
        _running(rows, end, others_first, snapshot),
        _suspended(rows, end, snapshot.benchmark.spec.suspend),
        *_end(end),
        *_gate(verdict, snapshot),
        *_cleanup(rows, end, snapshot),
        *((Fact(ConditionType.STALLED, True, end.reason, end.message),) if end and not end.complete else ()),
    )


def _running(rows: tuple[TrialRow, ...], end: Outcome | None, others_first: bool, snapshot: Snapshot) -> Fact:
    live = [row for row in rows if row.phase in LIVE]
    if live:
        names = ", ".join(f"trial {row.trial} ({row.point}), attempt {row.attempt}" for row in live)
        return Fact(ConditionType.RUNNING, True, "TrialsRunning", names)
    if end is None and (left := leftovers_of_previous(snapshot)):
        return Fact(ConditionType.RUNNING, False, WAITS_FOR_DEVICES, left)
    if others_first:
        sentence = "Other benchmarks run as many trials as the administrator allows at once"
        return Fact(ConditionType.RUNNING, False, WAITS_FOR_OTHERS, sentence)
    return Fact(ConditionType.RUNNING, False, "Ended" if end else "Waiting")


def _suspended(rows: tuple[TrialRow, ...], end: Outcome | None, asked: bool) -> Fact:
    if not asked or end:
        return Fact(ConditionType.SUSPENDED, False, "NotSuspended")
    if any(may_hold_devices(row) for row in rows):
        return Fact(ConditionType.SUSPENDED, False, "Stopping", "The running attempts are being stopped")
    return Fact(ConditionType.SUSPENDED, True, "AskedFor", "Set spec.suspend to false to go on")


def _end(end: Outcome | None) -> Iterator[Fact]:
    if end is not None:
        yield Fact(ConditionType.COMPLETE if end.complete else ConditionType.FAILED, True, end.reason, end.message)


def _gate(verdict: GateRow | None, snapshot: Snapshot) -> Iterator[Fact]:
    """The fact about the gate of a question: its verdict, or that there is none yet."""
    if snapshot.benchmark.spec.gate is None:
        return
    if verdict is None:
        yield Fact(ConditionType.GATE_PASSED, None, "InProgress", "The gate is judged when the benchmark has ended")
    elif verdict.verdict is Verdict.FAIL:
        reason = next((found.limit.value for found in verdict.findings), verdict.verdict.value)
        yield Fact(ConditionType.GATE_PASSED, False, reason, verdict.message)
    else:
        passed = True if verdict.verdict is Verdict.PASS else None
        yield Fact(ConditionType.GATE_PASSED, passed, verdict.verdict, verdict.message)


def _cleanup(rows: tuple[TrialRow, ...], end: Outcome | None, snapshot: Snapshot) -> Iterator[Fact]:
    """Whether all devices are free for good; until then something is still to do."""
    if end is not None and not teardown_pending(rows, snapshot):
        yield Fact(ConditionType.CLEANED_UP, True, "DevicesFree")
        return
    overdue, doing = overdue_teardown(rows, snapshot), "CleaningUp" if end else "InProgress"
    yield Fact(ConditionType.CLEANED_UP, False, "TeardownOverdue" if overdue else doing, overdue)
    # Before Stalled: kstatus takes the first that is True, and so sees progress until the devices are free.
    yield Fact(ConditionType.RECONCILING, True, doing)


def backend_missing(snapshot: Snapshot) -> bool:
    """Whether the Benchmark cannot go on without PyTorchJobs, and there are none."""
    rows = snapshot.benchmark.status.trials
    return not snapshot.backend and (outcome(rows) is None or any(may_hold_devices(row) for row in rows))


def backend_unavailable(snapshot: Snapshot) -> Decision:
    """The stored status with conditions that say so."""
    # Nothing is known of any Attempt, so no row changes and no deadline is judged. The operator looks at all Benchmarks
    # from time to time, and at once when PyTorchJobs are served, so nothing is requeued.
    stored, generation = snapshot.benchmark.status, snapshot.benchmark.metadata.generation
    said = with_remedy(Reason.BACKEND_UNAVAILABLE, "The cluster does not know PyTorchJobs")
    facts = unavailable_facts(stored.trials, outcome(stored.trials), said, snapshot)
    changes = {
        "observed_generation": generation,
        "conditions": dated(facts, stored.conditions, generation, snapshot.now),
        "summary": (stored.summary or Summary(trials="0/0")).model_copy(
            update={"reason": Reason.BACKEND_UNAVAILABLE.value}
        ),
    }
    reported = any(condition.reason == Reason.BACKEND_UNAVAILABLE for condition in stored.conditions)
    events = () if reported else (Event(True, Reason.BACKEND_UNAVAILABLE, said),)
    return Decision(stored.model_copy(update=changes), events=events)
