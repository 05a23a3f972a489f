"""Tests that repeats are skipped once their Point has converged."""

from typing import Any

import pytest

from sdbench.api.reasons import Reason
from sdbench.api.spec import Spec
from sdbench.api.status import Phase, TrialPhase, TrialRow
from sdbench.core.decide import decide
from sdbench.core.plan.grid import plan
from sdbench.core.schedule.early_stop import skip_converged
from sdbench.core.snapshot import Decision, Snapshot
from sdbench.core.trial.outcome import outcome
from sdbench.core.trial.row import planned_row, row_measurement
from sdbench.report.answers import unmeasured
from unit.core.worlds import after, attempt, benchmark, condition, exited, report, snapshot, spec

ONE = {"counts": [1], "perPod": 1}
UP_TO_FIVE = {"min": 2, "max": 5, "targetCoefficientOfVariation": "0.01"}


def question(**changes: Any) -> Spec:
    return spec(**{"devices": ONE, "repeats": UP_TO_FIVE, **changes})


def measured(row: TrialRow, rate: float, median: float | None = None, disturbed: bool = False) -> TrialRow:
    """The row after its Attempt was measured."""
    changes: dict[str, Any] = {"median_images_per_second": median or rate, "disturbed": disturbed}
    found = report("any", rate, **changes).measurement
    assert found is not None
    return row.model_copy(update={"phase": TrialPhase.SUCCEEDED, "measurement": row_measurement(found)})


def rows(asked: Spec, *ended: dict[str, Any] | None) -> tuple[TrialRow, ...]:
    """The plan's rows, of which the first have ended: measured like this, or failed where it is None."""
    made = [planned_row(trial) for trial in plan(asked)]
    for index, how in enumerate(ended):
        failed = made[index].model_copy(update={"phase": TrialPhase.FAILED, "reason": Reason.PEER_LOST})
        made[index] = failed if how is None else measured(made[index], **how)
    return tuple(made)


def phases(asked: Spec, *ended: dict[str, Any] | None) -> list[str]:
    at = snapshot(benchmark(asked))
    return [row.phase.value for row in skip_converged(rows(asked, *ended), at)]


A, B, FAR = {"rate": 100.0}, {"rate": 101.0}, {"rate": 120.0}

CASES: list[tuple[str, dict[str, Any], list[dict[str, Any] | None], int]] = [
    ("nothing is measured", UP_TO_FIVE, [], 0),
    ("one repeat has no spread", {**UP_TO_FIVE, "min": 1}, [A], 0),
    ("two are close together", UP_TO_FIVE, [A, B], 3),
    ("two are far apart", UP_TO_FIVE, [A, FAR], 0),
    ("two are close but min is three", {**UP_TO_FIVE, "min": 3}, [A, B], 0),
    ("three are close and min is three", {**UP_TO_FIVE, "min": 3}, [A, B, A], 2),
    ("a spread of exactly the target", {**UP_TO_FIVE, "targetCoefficientOfVariation": "0.5"}, [A, {"rate": 100.0}], 3),
    ("means are far apart but medians close", UP_TO_FIVE, [A, {"rate": 150.0, "median": 100.5}], 3),
    ("means are close but medians far apart", UP_TO_FIVE, [A, {"rate": 100.5, "median": 150.0}], 0),
    ("one of two was disturbed", UP_TO_FIVE, [A, {"rate": 100.1, "disturbed": True}], 0),
    ("two are undisturbed beside a disturbed outlier", UP_TO_FIVE, [A, {"rate": 50.0, "disturbed": True}, B], 2),
    ("one of three has failed, two are close", UP_TO_FIVE, [A, None, B], 2),
    ("one of two has failed", UP_TO_FIVE, [A, None], 0),
    ("min is max", {"min": 3, "targetCoefficientOfVariation": "1"}, [A, B], 0),
]


@pytest.mark.parametrize(("repeats", "ended", "skipped"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_waiting_repeats_are_skipped_once_the_point_has_converged(
    repeats: dict[str, Any], ended: list[dict[str, Any] | None], skipped: int
) -> None:
    assert phases(question(repeats=repeats), *ended).count("Skipped") == skipped


def test_each_point_is_judged_by_its_own_repeats() -> None:
    asked = spec(repeats=UP_TO_FIVE)
    ends = (A, A, B, FAR)
    left = skip_converged(rows(asked, *ends), snapshot(benchmark(asked)))
    assert {row.point for row in left if row.phase is TrialPhase.SKIPPED} == {"devices=1"}
    assert {row.point for row in left if row.phase is TrialPhase.PENDING} == {"devices=2"}


def test_a_running_repeat_is_not_stopped() -> None:
    asked = question()
    some = list(rows(asked, A, B))
    some[2] = some[2].model_copy(update={"phase": TrialPhase.RUNNING})
    left = skip_converged(tuple(some), snapshot(benchmark(asked)))
    assert [row.phase.value for row in left] == ["Succeeded", "Succeeded", "Running", "Skipped", "Skipped"]


def carried_out(made: Decision, at: Snapshot, rate: float) -> tuple[Decision, Snapshot]:
    """The pass after the started Attempt was measured and its job was deleted, and its Snapshot."""
    (start,) = made.jobs_to_create
    done = attempt(exited(of=report(start.name, rate)), trial=start.trial, job_ended=True)
    at = after(made, at, done, seconds=60)
    at = after(decide(at), at, done)
    at = after(decide(at), at, seconds=2)
    return decide(at), at


def test_a_benchmark_is_complete_without_the_repeats_that_are_not_needed() -> None:
    at = snapshot(benchmark(question()))
    made, at = carried_out(decide(at), at, 100.0)
    assert [row.phase.value for row in made.status.trials][1:] == ["Starting", "Pending", "Pending", "Pending"]
    (start,) = made.jobs_to_create
    done = attempt(exited(of=report(start.name, 100.5)), trial=start.trial, job_ended=True)
    at = after(made, at, done, seconds=60)
    made = decide(at)
    status = made.status
    assert [row.phase.value for row in status.trials] == ["Succeeded", "Succeeded", "Skipped", "Skipped", "Skipped"]
    assert {row.reason for row in status.trials[2:]} == {Reason.CONVERGED}
    assert status.trials[2].message == "2 repeats vary by 0.35 %, and 1.00 % is enough"
    assert (status.phase, condition(status, "Complete"), condition(status, "Failed")) == (Phase.SUCCEEDED, "True", None)
    assert status.summary is not None
    assert status.summary.trials == "5/5"
    events = [event for event in made.events if event.reason == Reason.CONVERGED]
    assert [(event.warning, event.message) for event in events] == [
        (False, "devices=1 needs 3 repeats less: 2 repeats vary by 0.35 %, and 1.00 % is enough")
    ]
    assert unmeasured(benchmark(question(), status)) == (), "a skipped repeat is not missing"


def test_a_sweep_with_failures_and_skipped_repeats_reports_only_the_failures() -> None:
    asked = spec(repeats=UP_TO_FIVE)
    ended = rows(asked, A, None, B, None, A, None, A, None, A, None)
    end = outcome(skip_converged(ended, snapshot(benchmark(asked))))
    assert end is not None
    assert (end.complete, end.reason) == (True, "PartlyMeasured")
    assert "devices=2: PeerLost" in end.message


def test_cancelling_keeps_skipped_rows_as_they_are() -> None:
    asked = question()
    left = skip_converged(rows(asked, A, B), snapshot(benchmark(asked)))
    made = decide(snapshot(benchmark(asked)))
    stored = made.status.model_copy(update={"trials": left})
    at = snapshot(benchmark(asked.model_copy(update={"cancel": True}), stored))
    assert decide(at).status.trials == left


def test_a_suspended_benchmark_completes_once_it_has_converged() -> None:
    asked = question()
    made = decide(snapshot(benchmark(asked)))
    stored = made.status.model_copy(update={"trials": rows(asked, A, B)})
    made = decide(snapshot(benchmark(asked.model_copy(update={"suspend": True}), stored)))
    assert (made.status.phase, condition(made.status, "Complete")) == (Phase.SUCCEEDED, "True")
