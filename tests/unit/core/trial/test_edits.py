"""Tests what happens to rows when a person suspends, cancels, edits or deletes the Benchmark."""

from dataclasses import replace

from sdbench.api.status import Phase
from sdbench.core.decide import decide
from unit.core.trial.passes import NAME, ONE, phases, running, torn_down
from unit.core.worlds import after, attempt, benchmark, condition, exited, pod, report, snapshot, spec


def test_suspending_voids_the_attempt_and_resuming_starts_another_that_is_not_a_retry() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, attempt(pod()), suspend=True)
    made = decide(at)
    assert phases(made) == ["Stopping:Suspended"]
    assert (made.status.phase, condition(made.status, "Suspended")) == (Phase.SUSPENDED, "False")
    made, at = torn_down(made, at, attempt(pod()))
    assert phases(made) == ["Pending:Suspended"]
    assert condition(made.status, "Suspended") == "True"
    at = after(made, at, seconds=100)
    made = decide(at)
    assert (made.status, made.requeue_after) == (at.benchmark.status, None), "a suspended Benchmark writes nothing"
    at = after(made, at, suspend=False)
    made = decide(at)
    assert [start.attempt for start in made.jobs_to_create] == [2]
    assert made.status.trials[0].failures == 0


def test_a_benchmark_suspended_from_the_start_shows_its_plan_and_starts_nothing() -> None:
    made = decide(snapshot(benchmark(spec(suspend=True, repeats={"min": 3}))))
    assert made.status.plan is not None
    assert (made.status.plan.trials, made.status.plan.points, made.status.plan.largest_devices) == (6, 2, 2)
    assert (made.status.phase, made.jobs_to_create) == (Phase.SUSPENDED, ())


def test_cancelling_stops_running_attempts_and_keeps_measurements() -> None:
    made, at = running(spec())
    done = attempt(exited(of=report(NAME)), job_ended=True)
    at = after(made, at, done, seconds=5)
    made, at = torn_down(decide(at), at, done)
    second = attempt(pod(0), pod(1), trial=1)
    at = after(made, at, second, cancel=True)
    made = decide(at)
    assert phases(made) == ["Succeeded:Measured", "Failed:Cancelled"]
    complete = next(one for one in made.status.conditions if one.type == "Complete")
    assert complete.reason == "Cancelled"
    made, _ = torn_down(made, at, second)
    assert condition(made.status, "CleanedUp") == "True"


def test_a_benchmark_cancelled_before_any_measurement_has_failed() -> None:
    made = decide(snapshot(benchmark(spec(cancel=True))))
    assert phases(made) == ["Failed:Cancelled", "Failed:Cancelled"]
    failed = next(one for one in made.status.conditions if one.type == "Failed")
    assert (made.status.phase, failed.reason, made.jobs_to_create) == (Phase.FAILED, "Cancelled", ())


def test_cancelling_a_complete_benchmark_changes_only_the_generation() -> None:
    made, at = running(spec(devices=ONE))
    done = attempt(exited(of=report(NAME)), job_ended=True)
    at = after(made, at, done, seconds=5)
    made, at = torn_down(decide(at), at, done)
    at = after(made, at, cancel=True)
    metadata = at.benchmark.metadata.model_copy(update={"generation": 2})
    at = replace(at, benchmark=at.benchmark.model_copy(update={"metadata": metadata}))
    again = decide(at).status
    assert again.observed_generation == 2
    assert {one.observed_generation for one in again.conditions} == {2}
    assert [one.last_transition_time for one in again.conditions] == [
        one.last_transition_time for one in made.status.conditions
    ]
    assert again.trials == made.status.trials


def test_a_deleted_benchmark_is_left_to_garbage_collection() -> None:
    made, at = running(spec())
    gone = benchmark(spec(), made.status, deletionTimestamp=at.now)
    made = decide(snapshot(gone, attempt(pod())))
    assert (made.jobs_to_create, made.jobs_to_delete, made.events, made.requeue_after) == ((), (), (), None)
    assert made.status == gone.status


def test_lowered_limits_skip_trials_that_they_no_longer_allow() -> None:
    asked = spec(devices={"counts": [1, 2, 4], "perPod": 1})
    made, at = running(asked)
    limits = asked.limits.model_copy(update={"max_devices": 2})
    made = decide(after(made, at, attempt(pod()), limits=limits))
    assert phases(made) == ["Running:", "Pending:", "Failed:Skipped"]


def test_a_rejected_benchmark_fails_with_the_message_and_can_be_corrected() -> None:
    at = snapshot(benchmark(spec(limits={"maxDevices": 1})))
    made = decide(at)
    accepted = next(one for one in made.status.conditions if one.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "PlanRefused")
    assert accepted.message == "spec.devices.counts: 2 devices are more than limits.maxDevices, 1"
    assert (made.status.phase, condition(made.status, "Stalled")) == (Phase.FAILED, "True")
    assert (made.jobs_to_create, made.requeue_after is None) == ((), False)
    at = after(made, at)
    again = decide(at)
    assert (again.status, again.events, again.requeue_after) == (at.benchmark.status, (), None)
    made = decide(after(made, at, limits=spec().limits))
    assert (condition(made.status, "Accepted"), condition(made.status, "Failed")) == ("True", None)
    assert len(made.jobs_to_create) == 1


def test_cancelling_a_suspended_benchmark_ends_it_and_keeps_measurements() -> None:
    made, at = running(spec(devices=ONE, repeats={"min": 2}))
    done = attempt(exited(of=report(NAME)), job_ended=True)
    at = after(made, at, done, seconds=5, suspend=True)
    made, at = torn_down(decide(at), at, done)
    assert phases(made) == ["Succeeded:Measured", "Pending:"]
    assert condition(made.status, "Suspended") == "True"
    made = decide(after(made, at, cancel=True))
    assert phases(made) == ["Succeeded:Measured", "Failed:Cancelled"]
    assert (condition(made.status, "Suspended"), condition(made.status, "CleanedUp")) == ("False", "True")
    assert made.status.phase is Phase.SUCCEEDED


def test_suspending_an_ended_benchmark_changes_only_the_generation() -> None:
    made, at = running(spec(devices=ONE))
    done = attempt(exited(of=report(NAME)), job_ended=True)
    at = after(made, at, done, seconds=5)
    made, at = torn_down(decide(at), at, done)
    at = after(made, at, suspend=True)
    metadata = at.benchmark.metadata.model_copy(update={"generation": 2})
    again = decide(replace(at, benchmark=at.benchmark.model_copy(update={"metadata": metadata})))
    same = {"observed_generation", "conditions"}
    assert again.status.observed_generation == 2
    assert again.status.model_dump(exclude=same) == made.status.model_dump(exclude=same)
    assert [one.status for one in again.status.conditions] == [one.status for one in made.status.conditions]
    assert (again.jobs_to_create, again.jobs_to_delete, again.events) == ((), (), ())


def test_toggling_suspend_before_the_teardown_voids_one_attempt_and_starts_one() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, attempt(pod()), suspend=True)
    at = after(decide(at), at, attempt(pod()), suspend=False)
    made = decide(at)
    assert (phases(made), [stop.name for stop in made.jobs_to_delete]) == (["Stopping:Suspended"], [NAME])
    at = after(made, at, attempt(pod(deleting=True), job_uid=None), suspend=True)
    at = after(decide(at), at, suspend=False, seconds=1)
    made = decide(at)
    assert [start.attempt for start in made.jobs_to_create] == [2]
    assert made.status.trials[0].failures == 0


def test_toggling_suspend_between_two_passes_leaves_the_attempt_alone() -> None:
    made, at = running(spec(devices=ONE))
    at = after(made, at, attempt(pod()), suspend=True)
    at = replace(at, benchmark=at.benchmark.model_copy(update={"spec": spec(devices=ONE)}))
    made = decide(at)
    assert (phases(made), made.jobs_to_delete) == (["Running:"], ())
