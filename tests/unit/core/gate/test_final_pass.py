"""Tests that the Verdict is made once, when a Benchmark ends, and reported everywhere."""

from dataclasses import replace
from typing import Any

import pytest

from sdbench.api.spec import Spec
from sdbench.api.status import Condition, Phase, Status
from sdbench.api.status_gate import Verdict
from sdbench.core.decide import decide
from sdbench.core.measure.references import awaited_references, referenced_names
from sdbench.core.snapshot import Decision, Reference, Snapshot
from unit.core.gate.gates import answer, asked, environment, row
from unit.core.worlds import after, attempt, benchmark, condition, exited, pod, report, snapshot, spec

ONE = {"counts": [1], "hourlyPrice": "2"}


def gate_passed(status: Status) -> Condition | None:
    return next((one for one in status.conditions if one.type == "GatePassed"), None)


def first_pass(of: Spec, *others: Reference) -> tuple[Snapshot, Decision]:
    """The Snapshot and the Decision of the first pass."""
    at = replace(snapshot(benchmark(of)), references=others)
    return at, decide(at)


def ended(of: Spec, *others: Reference, rate: float = 100.0) -> tuple[Snapshot, Decision]:
    """The Snapshot and the Decision of the pass in which the only Trial is measured."""
    at, made = first_pass(of, *others)
    done = attempt(exited(of=report("tiny-0a1b2-0-1", rate)), job_ended=True)
    at = after(made, at, done, seconds=60)
    return at, decide(at)


def limited(gate: dict[str, Any], **changes: Any) -> Spec:
    return spec(devices=ONE, gate=gate, **changes)


def test_without_a_gate_there_is_no_verdict() -> None:
    _, made = ended(spec(devices=ONE))
    assert gate_passed(made.status) is None
    assert made.status.gate is None
    assert made.status.summary is not None
    assert made.status.summary.verdict is None


def test_until_the_end_the_verdict_is_unknown() -> None:
    _, made = first_pass(limited({"minImagesPerSecond": "1"}))
    found = gate_passed(made.status)
    assert found is not None
    assert (found.status, found.reason) == ("Unknown", "InProgress")
    assert made.status.gate is None


@pytest.mark.parametrize(
    ("gate", "status", "reason", "verdict", "says"),
    [
        ({"minImagesPerSecond": "100"}, "True", "Pass", "Pass", "Every limit holds"),
        ({"minImagesPerSecond": "100.5"}, "False", "ImagesPerSecond", "Fail", "devices=1 is 100: the gate asks for"),
        ({"maxDataWaitRatio": "0.01"}, "False", "DataWaitRatio", "Fail", "DataWaitRatio of devices=1 is 0.02"),
        ({"minMfu": "0.3"}, "Unknown", "InsufficientData", "InsufficientData", "Mfu of devices=1 cannot be judged"),
        (
            {"baseline": {"name": "old"}},
            "Unknown",
            "InsufficientData",
            "InsufficientData",
            "Regression of devices=1 against old cannot be judged",
        ),
    ],
)
def test_the_final_pass_makes_the_verdict_and_reports_it(
    gate: dict[str, Any], status: str, reason: str, verdict: str, says: str
) -> None:
    _, made = ended(limited(gate))
    found = gate_passed(made.status)
    assert found is not None
    assert (found.status, found.reason) == (status, reason)
    assert says in found.message
    assert made.status.gate is not None
    assert made.status.gate.verdict == verdict
    assert made.status.summary is not None
    assert made.status.summary.verdict == verdict
    (event,) = (one for one in made.events if one.reason.startswith("Gate"))
    assert (event.reason, event.warning) == (f"Gate{verdict}", verdict != "Pass")
    assert says in event.message


def test_the_verdict_is_separate_from_the_success_of_the_run() -> None:
    _, made = ended(limited({"minImagesPerSecond": "1000"}))
    assert made.status.phase is Phase.SUCCEEDED
    assert condition(made.status, "Complete") == "True"
    assert condition(made.status, "Stalled") is None


def old(rate: str) -> Reference:
    """Another Benchmark that measured one device of the same kind at 64 px."""
    of = asked(trainer={"imageSize": 64})
    return Reference("old", answer(of, row(rate=rate), on={"devices=1": environment(device="cpu")}, name="old"))


def test_points_and_verdict_stay_whatever_happens_to_other_benchmarks() -> None:
    stages = [{"images": 86_400_000, "imageSize": 64, "benchmark": "old"}]
    of = limited({"maxDays": "5"}, projection={"stages": stages})
    at, made = ended(of, old("200"))
    assert made.status.gate is not None
    assert made.status.gate.verdict is Verdict.PASS
    assert made.status.points[0].days == 5
    for others in ((), (old("1"),), (Reference("old", absence="is gone"),)):
        at = replace(after(made, at, seconds=9), references=others)
        again = decide(at)
        assert again.status.gate == made.status.gate
        assert again.status.points == made.status.points
        assert gate_passed(again.status) == gate_passed(made.status)
        assert not [one for one in again.events if one.reason.startswith("Gate")]


def test_until_the_end_the_projection_follows_other_benchmarks() -> None:
    stages = [{"images": 86_400_000, "imageSize": 64, "benchmark": "old"}]
    of = spec(devices={"counts": [1, 2], "perPod": 1, "hourlyPrice": "2"}, projection={"stages": stages})
    _, made = ended(of)
    assert made.status.summary is not None
    assert (made.status.points[0].days, made.status.summary.days) == (None, None)
    assert made.status.points[0].projection_message == (
        "The rate of stage 1 (64 px) is unknown: Benchmark old does not exist"
    )
    _, made = ended(of, old("200"))
    assert made.status.points[0].days == 5
    assert made.status.summary is not None
    assert made.status.summary.days == "5.00"


def test_a_cancelled_benchmark_has_insufficient_data() -> None:
    at, made = first_pass(limited({"minImagesPerSecond": "1"}))
    at = after(made, at, attempt(pod()), seconds=5, cancel=True)
    made = decide(at)
    found = gate_passed(made.status)
    assert found is not None
    assert (found.status, found.reason, found.message) == (
        "Unknown",
        "InsufficientData",
        "The benchmark was cancelled",
    )


def test_a_failed_benchmark_has_insufficient_data() -> None:
    at, made = first_pass(limited({"minImagesPerSecond": "1"}, retries=0))
    at = after(made, at, attempt(exited(code=64, said="wrong"), job_ended=True), seconds=60)
    made = decide(at)
    assert condition(made.status, "Failed") == "True"
    found = gate_passed(made.status)
    assert found is not None
    assert (found.status, found.reason) == ("Unknown", "InsufficientData")
    assert "devices=1 cannot be judged (at least 1 is asked for): it is not measured" in found.message


def test_a_rejected_benchmark_has_insufficient_data_until_it_is_accepted() -> None:
    gate = {"minImagesPerSecond": "1"}
    at, made = first_pass(spec(devices={"counts": [2]}, gate=gate, limits={"maxDevices": 1}))
    found = gate_passed(made.status)
    assert found is not None
    assert (found.status, found.reason, found.message) == ("Unknown", "InsufficientData", "The question was refused")
    at = after(made, at, limits=at.benchmark.spec.limits.model_copy(update={"max_devices": 2}))
    made = decide(at)
    found = gate_passed(made.status)
    assert found is not None
    assert (found.reason, made.status.gate) == ("InProgress", None)


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "itself as baseline": ({"gate": {"baseline": {"name": "tiny"}}}, "spec.gate.baseline.name: name another benchmark"),
    "itself as stage": (
        {"projection": {"stages": [{"images": 1, "imageSize": 64, "benchmark": "tiny"}]}},
        "spec.projection.stages: name another benchmark",
    ),
    "a count that is not measured": (
        {"gate": {"devices": [3], "maxDays": "1"}},
        "spec.gate.devices: every count must be in",
    ),
    "a cost without a price": ({"gate": {"maxCost": "1"}}, "spec.gate.maxCost: set devices.hourlyPrice"),
    "a stage without a rate": (
        {"projection": {"stages": [{"images": 1, "imageSize": 512}, {"images": 1, "imageSize": 256}]}},
        "spec.projection.stages: a stage at another size than trainer.imageSize needs a benchmark",
    ),
    "a stage that not every Point has": (
        {"projection": {"stages": [{"images": 1, "imageSize": 512}]}, "sweep": {"imageSize": [256, 512]}},
        "spec.projection.stages: a stage at another size than trainer.imageSize needs a benchmark",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), REJECTED.values(), ids=REJECTED.keys())
def test_a_gate_or_projection_that_can_never_be_computed_is_rejected(changes: dict[str, Any], sentence: str) -> None:
    made = decide(snapshot(benchmark(spec(**changes))))
    accepted = next(one for one in made.status.conditions if one.type == "Accepted")
    assert accepted.status == "False"
    assert accepted.message.startswith(sentence)


def test_referenced_benchmarks_are_read_until_they_are_no_longer_needed() -> None:
    stages = [{"images": 1, "imageSize": 64, "benchmark": "old"}, {"images": 1, "imageSize": 512}]
    of = limited({"baseline": {"name": "last"}, "minImagesPerSecond": "1"}, projection={"stages": stages})
    assert referenced_names(of) == ("old", "last")
    at, made = first_pass(of)
    assert awaited_references(at.benchmark) == ("old", "last")
    at, made = ended(of)
    assert awaited_references(at.benchmark) == ("old", "last")
    assert awaited_references(after(made, at).benchmark) == ()


def test_one_benchmark_in_two_roles_is_read_once() -> None:
    stages = [{"images": 1, "imageSize": 64, "benchmark": "old"}]
    assert referenced_names(limited({"baseline": {"name": "old"}}, projection={"stages": stages})) == ("old",)
    assert referenced_names(spec()) == ()


@pytest.mark.parametrize(
    ("rates", "reason"), [((90.0, 90.5), "Regression"), ((99.8, 100.2), "Pass"), ((97.0, 101.0), "InsufficientData")]
)
def test_a_regression_is_judged_by_the_trials_measurements(rates: tuple[float, float], reason: str) -> None:
    of = limited({"baseline": {"name": "old"}}, repeats={"min": 2})
    reference = Reference("old", answer(asked(), row(spread="0.1"), on={"devices=1": environment(device="cpu")}))
    at, made = first_pass(of, reference)
    for trial, rate in enumerate(rates):
        name = f"tiny-0a1b2-{trial}-1"
        done = attempt(exited(of=report(name, rate)), trial=trial, job_ended=True)
        at = after(made, at, done, seconds=60)
        at = after(decide(at), at, seconds=5)
        made = decide(at)
    found = gate_passed(made.status)
    assert found is not None
    assert found.reason == reason, found.message
