"""Tests what a Benchmark shows while the cluster does not serve PyTorchJobs, and afterwards."""

from dataclasses import replace

from sdbench.api.status import Phase, TrialPhase
from sdbench.core.decide import decide
from unit.core.worlds import after, attempt, benchmark, condition, exited, pod, report, snapshot, spec

ONE = {"counts": [1]}


def test_a_benchmark_waits_until_somebody_installs_the_training_operator() -> None:
    at = replace(snapshot(benchmark(spec(devices=ONE))), backend=False)
    made = decide(at)
    accepted = next(one for one in made.status.conditions if one.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "BackendUnavailable")
    assert "install the Kubeflow training-operator" in accepted.message
    assert (condition(made.status, "Stalled"), condition(made.status, "Reconciling")) == ("True", None)
    assert (made.status.phase, made.status.trials, made.jobs_to_create) == (Phase.PENDING, (), ())
    assert [event.reason for event in made.events] == ["BackendUnavailable"]

    again = decide(after(made, at, seconds=600))
    assert (again.status, again.events, again.requeue_after) == (made.status, (), None)

    back = decide(replace(after(made, at), backend=True))
    assert (condition(back.status, "Accepted"), condition(back.status, "Stalled")) == ("True", None)
    assert len(back.jobs_to_create) == 1


def test_rows_stay_as_they_are_and_no_deadline_expires() -> None:
    at = snapshot(benchmark(spec(devices=ONE, limits={"totalSeconds": 60})))
    at = after(decide(at), at, attempt(pod()))
    made = decide(at)
    gone = replace(after(made, at, seconds=1_000), backend=False)
    away = decide(gone)
    assert away.status.trials == made.status.trials
    assert (away.status.phase, away.jobs_to_delete) == (Phase.RUNNING, ())
    assert (condition(away.status, "Stalled"), condition(away.status, "Running")) == ("True", "True")

    back = decide(replace(after(away, gone), backend=True))
    assert (back.status.trials[0].phase, back.status.trials[0].reason) == (TrialPhase.STARTING, "JobDeleted")


def test_a_finished_and_cleaned_up_benchmark_is_not_affected() -> None:
    at = snapshot(benchmark(spec(devices=ONE)))
    at = after(decide(at), at, attempt(pod()))
    done = attempt(exited(of=report("tiny-0a1b2-0-1")))
    at = after(decide(at), at, done)
    measured = decide(at)
    held = decide(replace(after(measured, at), backend=False))
    assert (condition(held.status, "Stalled"), condition(held.status, "Complete")) == ("True", "True")
    clean = decide(after(measured, at))
    assert condition(clean.status, "CleanedUp") == "True"
    assert decide(replace(after(clean, at), backend=False)).status == clean.status
