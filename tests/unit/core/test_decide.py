"""Tests that `decide` takes a Benchmark from its acceptance to its results."""

from decimal import Decimal

from sdbench.api.reasons import Reason
from sdbench.api.status import Phase, TrialPhase
from sdbench.core.decide import decide
from unit.core.worlds import after, attempt, benchmark, condition, exited, pod, report, snapshot, spec


def test_one_trial_goes_from_start_to_complete() -> None:
    at = snapshot(benchmark(spec(devices={"counts": [1], "hourlyPrice": "2"})))
    made = decide(at)
    (start,) = made.jobs_to_create
    assert start.name == "tiny-0a1b2-0-1"
    assert made.status.trials[0].phase is TrialPhase.STARTING
    assert (made.status.phase, made.jobs_to_delete) == (Phase.RUNNING, ())
    assert condition(made.status, "Accepted") == "True"

    at = after(made, at)
    again = decide(at)
    assert again.jobs_to_create == made.jobs_to_create, "a Starting row without a job is started again"
    assert again.status == made.status

    at = after(made, at, attempt(pod()), seconds=5)
    made = decide(at)
    assert made.status.trials[0].phase is TrialPhase.RUNNING
    assert made.status.trials[0].job_uid == "job-0-1"
    assert (made.jobs_to_create, made.jobs_to_delete) == ((), ())

    done = attempt(exited(of=report("tiny-0a1b2-0-1", 100.0)), job_ended=True)
    at = after(made, at, done, seconds=55)
    made = decide(at)
    row = made.status.trials[0]
    assert (row.phase, row.reason, row.environment) == (TrialPhase.SUCCEEDED, Reason.MEASURED, 0)
    assert condition(made.status, "Complete") == "True"
    assert condition(made.status, "CleanedUp") == "False"
    assert made.jobs_to_delete == (), "the result is stored before anything is removed"
    assert made.status.points[0].images_per_second == Decimal(100)

    at = after(made, at, done)
    made = decide(at)
    (stop,) = made.jobs_to_delete
    assert (stop.name, stop.job_uid) == ("tiny-0a1b2-0-1", "job-0-1")

    at = after(made, at, seconds=2)
    made = decide(at)
    assert made.status.trials[0].released_at is not None
    assert (made.status.spent_device_seconds, made.status.spent_cost) == (62, Decimal("0.034444444"))
    assert condition(made.status, "CleanedUp") == "True"
    assert condition(made.status, "Reconciling") is None

    at = after(made, at, seconds=100)
    idle = decide(at)
    assert idle.status == at.benchmark.status
    assert (idle.jobs_to_create, idle.jobs_to_delete, idle.events, idle.requeue_after) == ((), (), (), None)
