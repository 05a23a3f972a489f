"""Tests that budgets are kept: plans rejected, Trials not started, Attempts stopped in time."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sdbench.api.spec import Limits, Spec
from sdbench.api.status import Phase, Status, TrialPhase
from sdbench.core.decide import decide
from sdbench.core.plan.caps import budget, devices_at_once
from sdbench.core.snapshot import AttemptState, Bounds, Decision, Snapshot
from unit.core.worlds import NOON, after, attempt, benchmark, condition, exited, pod, report, snapshot, spec

EIGHT = {"counts": [8], "perPod": 8, "hourlyPrice": "2"}
HOUR = 3_600


def asked(limits: dict[str, Any], **changes: Any) -> Spec:
    """A Spec with eight devices in one pod, at a price of 2 an hour each."""
    return spec(**{"devices": EIGHT, "repeats": {"min": 2}, "limits": limits, **changes})


def measured(number: int = 1, trial: int = 0) -> AttemptState:
    name = attempt(trial=trial, number=number).name
    return attempt(exited(of=report(name)), trial=trial, number=number, job_ended=True)


def phases(made: Decision) -> list[str]:
    return [f"{row.phase}:{row.reason or ''}" for row in made.status.trials]


def said(status: Status, name: str) -> tuple[str, str]:
    found = next(one for one in status.conditions if one.type == name)
    return found.reason, found.message


def after_the_first_trial(wanted: Spec, seconds: float, bounds: Bounds = Bounds()) -> tuple[Decision, Snapshot]:  # noqa: B008
    """The pass after the first Trial was measured and held its devices for this many seconds, and its Snapshot."""
    at = snapshot(benchmark(wanted))
    at = replace(at, defaults=replace(at.defaults, bounds=bounds))
    at = after(decide(at), at, attempt(pod()), seconds=10)
    at = after(decide(at), at, measured(), seconds=seconds - 11)
    at = after(decide(at), at, measured())
    made = decide(at)
    assert [stop.name for stop in made.jobs_to_delete] == [measured().name]
    at = after(made, at, seconds=1)
    return decide(at), at


SMALLEST = [
    ({}, Bounds(), None),
    ({"deviceHours": "5"}, Bounds(), (5, "limits.deviceHours")),
    ({"cost": "6"}, Bounds(), (3, "limits.cost")),
    ({"deviceHours": "2", "cost": "6"}, Bounds(), (2, "limits.deviceHours")),
    ({"deviceHours": "4", "cost": "6"}, Bounds(), (3, "limits.cost")),
    ({"deviceHours": "4", "cost": "6"}, Bounds(device_hours=Decimal(1)), (1, "bounds.deviceHours")),
    ({}, Bounds(device_hours=Decimal("0.5")), (Decimal("0.5"), "bounds.deviceHours")),
    ({"deviceHours": "1"}, Bounds(device_hours=Decimal(7)), (1, "limits.deviceHours")),
]


@pytest.mark.parametrize(("limits", "bounds", "expected"), SMALLEST)
def test_the_smallest_bound_applies_whoever_set_it(limits: dict[str, str], bounds: Bounds, expected: Any) -> None:
    found = budget(asked(limits), bounds)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.device_hours == expected[0]
        assert expected[1] in found.named


def test_an_author_cannot_raise_the_administrators_devices() -> None:
    assert devices_at_once(asked({"maxDevices": 64}), Bounds(max_devices=16)).count == 16
    assert devices_at_once(asked({"maxDevices": 8}), Bounds(max_devices=16)).named == "limits.maxDevices"


REJECTED = [
    ({"deviceHours": "0.1"}, Bounds(), "spec.limits: the warm-ups alone take 0.267 device-hours, and limits.device"),
    ({"cost": "0.4"}, Bounds(), "and limits.cost is 0.200"),
    ({}, Bounds(device_hours=Decimal("0.2")), "the administrator allows one benchmark (bounds.deviceHours) is 0.200"),
    ({}, Bounds(max_devices=4), "8 devices are more than what the administrator allows at once (bounds.maxDevices), 4"),
    ({"deviceHours": "0"}, Bounds(), "spec.limits"),
]


@pytest.mark.parametrize(("limits", "bounds", "sentence"), REJECTED)
def test_a_plan_that_cannot_fit_is_rejected_with_the_name_of_the_bound(
    limits: dict[str, str], bounds: Bounds, sentence: str
) -> None:
    wanted = asked(limits, trainer={"window": {"warmupBatches": 1, "warmupSeconds": 60, "batches": 4}})
    at = snapshot(benchmark(wanted))
    made = decide(replace(at, defaults=replace(at.defaults, bounds=bounds)))
    assert said(made.status, "Accepted")[0] == "PlanRefused"
    assert sentence in said(made.status, "Accepted")[1]
    assert made.jobs_to_create == ()


def test_the_least_device_hours_count_only_the_minimum_of_repeats() -> None:
    more = {"min": 2, "max": 9, "targetCoefficientOfVariation": "0.02"}
    wanted = asked({"deviceHours": "0.267"}, repeats=more, trainer={"window": {"warmupSeconds": 60, "batches": 4}})
    made = decide(snapshot(benchmark(wanted)))
    assert condition(made.status, "Accepted") == "True"
    assert made.status.plan is not None
    assert made.status.plan.least_device_hours == Decimal("0.267")
    assert made.status.plan.most_device_hours == 8 * 24 * 9 * 3


def test_a_cost_limit_without_a_price_is_rejected() -> None:
    made = decide(snapshot(benchmark(asked({"cost": "10"}, devices={"counts": [8], "perPod": 8}))))
    assert "spec.limits.cost: set devices.hourlyPrice" in said(made.status, "Accepted")[1]


def test_a_trial_that_does_not_fit_the_remaining_budget_is_not_started() -> None:
    made, at = after_the_first_trial(asked({"deviceHours": "1.5"}), seconds=400)
    assert phases(made) == ["Succeeded:Measured", "Failed:BudgetExceeded"]
    assert (made.jobs_to_create, made.status.spent_device_seconds) == ((), 8 * 400)
    row = made.status.trials[1]
    assert "0.611 device-hours are left of 1.500 device-hours, limits.deviceHours; this trial needs 0.8" in row.message
    reason, message = said(made.status, "Complete")
    assert (made.status.phase, reason) == (Phase.SUCCEEDED, "BudgetExceeded")
    assert message.startswith("1 of 1 Points are measured: 0.611 device-hours are left")
    assert condition(made.status, "CleanedUp") == "True"
    at = after(made, at)
    assert (decide(at).status, decide(at).requeue_after) == (made.status, None)


@pytest.mark.parametrize("hours", ["1.778", "99"])
def test_a_trial_that_fits_is_started(hours: str) -> None:
    made, _ = after_the_first_trial(asked({"deviceHours": hours}), seconds=400)
    assert [start.trial for start in made.jobs_to_create] == [1]


def test_the_administrators_bound_stops_trials_like_the_authors_limit() -> None:
    made, _ = after_the_first_trial(
        asked({"deviceHours": "99"}), seconds=400, bounds=Bounds(device_hours=Decimal("1.5"))
    )
    assert phases(made)[1] == "Failed:BudgetExceeded"
    assert "bounds.deviceHours" in made.status.trials[1].message


def test_a_running_attempt_is_stopped_at_the_moment_the_budget_is_used_up() -> None:
    at = snapshot(benchmark(asked({"deviceHours": "1"})))
    at = after(decide(at), at, attempt(pod()), seconds=10)
    at = after(decide(at), at, attempt(pod()))
    assert decide(at).requeue_after == timedelta(seconds=HOUR / 8 - 10)
    at = replace(at, now=NOON + timedelta(seconds=HOUR / 8 - 1))
    assert decide(at).status == at.benchmark.status
    at = replace(at, now=NOON + timedelta(seconds=HOUR / 8))
    made = decide(at)
    assert phases(made) == ["Failed:BudgetExceeded", "Failed:BudgetExceeded"]
    assert "The budget of 1.000 device-hours, limits.deviceHours, is used up" in made.status.trials[0].message
    assert made.jobs_to_delete == (), "the end is stored before anything is removed"
    at = after(made, at, attempt(pod()), seconds=1)
    made = decide(at)
    assert [stop.reason for stop in made.jobs_to_delete] == ["BudgetExceeded"]
    at = after(made, at, seconds=2)
    made = decide(at)
    assert (made.status.phase, said(made.status, "Failed")[0]) == (Phase.FAILED, "BudgetExceeded")
    assert made.status.spent_device_seconds == HOUR + 3 * 8
    assert condition(made.status, "CleanedUp") == "True"


@pytest.mark.parametrize("limit", ["deviceHours", "cost"])
def test_a_budget_whose_end_is_beyond_all_dates_is_accepted(limit: str) -> None:
    at = snapshot(benchmark(asked({limit: "9" * 21})))
    at = after(decide(at), at, attempt(pod()), seconds=10)
    assert [row.phase for row in decide(at).status.trials][:1] == [TrialPhase.RUNNING]


def test_a_result_that_arrives_as_the_budget_ends_is_kept() -> None:
    at = snapshot(benchmark(asked({"deviceHours": "1"})))
    at = after(decide(at), at, attempt(pod()), seconds=10)
    at = after(decide(at), at, measured(), seconds=HOUR)
    assert phases(decide(at)) == ["Succeeded:Measured", "Failed:BudgetExceeded"]


def test_spending_survives_a_restart_and_a_raised_limit_lets_the_run_continue() -> None:
    at = snapshot(benchmark(asked({"deviceHours": "1"})))
    at = after(decide(at), at, attempt(pod()), seconds=10)
    at = after(decide(at), at, attempt(pod()), seconds=300)
    raised = Limits.model_validate({"deviceHours": "3"})
    at = after(decide(at), at, attempt(pod()), seconds=300, limits=raised)
    made = decide(at)
    assert phases(made)[0] == "Running:"
    at = after(made, at, attempt(pod()))
    assert decide(at).requeue_after == timedelta(seconds=3 * HOUR / 8 - 610)


def test_a_limit_that_is_lowered_later_stops_trials_but_does_not_reject_the_benchmark() -> None:
    made, at = after_the_first_trial(asked({"deviceHours": "99"}), seconds=400)
    at = after(made, at, limits=Limits.model_validate({"deviceHours": "0.1"}))
    made = decide(at)
    assert condition(made.status, "Accepted") == "True"
    assert phases(made) == ["Succeeded:Measured", "Failed:BudgetExceeded"]
    assert made.status.trials[0].measurement is not None


def test_parallel_trials_start_only_if_the_budget_covers_all_of_them() -> None:
    wanted = asked({"deviceHours": "2.5"}, repeats={"min": 4}, parallelism=2)
    at = snapshot(benchmark(wanted))
    made = decide(at)
    assert [start.trial for start in made.jobs_to_create] == [0, 1], "their cost is not known yet"
    at = after(made, at, attempt(pod()), attempt(pod(), trial=1), seconds=10)
    at = after(decide(at), at, measured(), attempt(pod(), trial=1), seconds=389)
    at = after(decide(at), at, measured(), attempt(pod(), trial=1))
    at = after(decide(at), at, attempt(pod(), trial=1), seconds=1)
    made = decide(at)
    assert phases(made) == ["Succeeded:Measured", "Running:", "Pending:", "Pending:"], "0.722 are left, 0.889 needed"
    assert made.jobs_to_create == ()
    at = after(made, at, measured(trial=1), seconds=1)
    at = after(decide(at), at, measured(trial=1))
    made = decide(after(decide(at), at))
    assert phases(made)[2:] == ["Failed:BudgetExceeded", "Failed:BudgetExceeded"]
    assert [event.reason for event in made.events].count("BudgetExceeded") == 1, "one Event covers all of them"


def test_no_trial_is_given_up_while_suspended() -> None:
    made, at = after_the_first_trial(asked({"deviceHours": "99"}), seconds=400)
    low = Limits.model_validate({"deviceHours": "1"})
    running = attempt(pod(scheduled_at=NOON + timedelta(seconds=400)), trial=1)
    at = after(made, at, running, suspend=True, limits=low)
    at = after(decide(at), at, running)
    at = after(decide(at), at)
    made = decide(at)
    assert phases(made) == ["Succeeded:Measured", "Pending:Suspended"]
    raised = after(made, at, suspend=False, limits=Limits.model_validate({"deviceHours": "9"}))
    assert [start.trial for start in decide(raised).jobs_to_create] == [1]
    resumed = after(made, at, suspend=False)
    assert phases(decide(resumed))[1] == "Failed:BudgetExceeded"


def test_pods_that_held_devices_while_others_found_none_are_charged() -> None:
    wanted = spec(devices={"counts": [16], "perPod": 8}, trainer={"globalBatchSize": 16})
    at = snapshot(benchmark(wanted))
    partial = attempt(pod(), pod(1, scheduled_at=None, started_at=None, unschedulable="0/2 nodes"))
    at = after(decide(at), at, partial, seconds=100)
    at = after(decide(at), at, partial, suspend=True)
    made = decide(at)
    assert made.status.trials[0].phase is TrialPhase.STOPPING
    assert made.status.spent_device_seconds == 8 * 100
    made = decide(after(decide(after(made, at, partial)), at, seconds=50))
    assert made.status.spent_device_seconds == 8 * 100, "charged once"


def test_a_partial_gang_uses_up_the_budget_too() -> None:
    limits = {"deviceHours": "1", "gangSeconds": 3_000}
    wanted = spec(devices={"counts": [16], "perPod": 8}, trainer={"globalBatchSize": 16}, limits=limits)
    at = snapshot(benchmark(wanted))
    partial = attempt(pod(), pod(1, scheduled_at=None, started_at=None, unschedulable="0/2 nodes"))
    at = after(decide(at), at, partial, seconds=100)
    at = after(decide(at), at, partial)
    assert decide(at).requeue_after == timedelta(seconds=350)
    at = replace(at, now=NOON + timedelta(seconds=450))
    assert phases(decide(at)) == ["Failed:BudgetExceeded"]
