"""Tests a status that another version of the operator wrote."""

from typing import Any

import pytest
from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.core.decide import decide
from unit.core.worlds import after, attempt, benchmark, pod, snapshot

NEWER = {"fromTheFuture": {"kept": [1, 2]}}


def read_again(of: Benchmark, status: dict[str, Any]) -> Benchmark:
    """As the API server gives it back."""
    return Benchmark.model_validate(of.model_dump(by_alias=True, mode="json", exclude={"status"}) | {"status": status})


def test_fields_of_a_newer_version_stay_where_they_stand_while_the_work_goes_on() -> None:
    at = snapshot(benchmark())
    status = decide(at).status.document()
    status |= NEWER
    status["trials"][0] |= NEWER
    at = snapshot(read_again(at.benchmark, status), attempt(pod()), seconds=10)
    made = decide(at)
    shown = made.status.document()
    assert shown["trials"][0]["phase"] == "Running"
    assert shown | NEWER == shown
    assert shown["trials"][0] | NEWER == shown["trials"][0]


def test_a_finished_answer_of_a_newer_version_is_not_written_again() -> None:
    at = snapshot(benchmark())
    made = decide(at)
    at = after(made, at, seconds=1)
    cancelled = at.benchmark.model_copy(update={"spec": at.benchmark.spec.model_copy(update={"cancel": True})})
    over = decide(snapshot(cancelled, seconds=2)).status
    finished = decide(snapshot(cancelled.model_copy(update={"status": over}), seconds=3)).status.document()
    finished |= NEWER
    finished["trials"][1] |= NEWER
    again = decide(snapshot(read_again(cancelled, finished), seconds=1_000)).status
    assert again.document() == finished


def test_a_phase_or_a_reason_that_is_not_known_cannot_be_read() -> None:
    at = snapshot(benchmark())
    for part in ({"phase": "Paused"}, {"reason": "StruckByLightning"}):
        status = decide(at).status.document()
        status["trials"][0] |= part
        with pytest.raises(ValidationError, match=r"trials\.0"):
            read_again(at.benchmark, status)


def test_a_question_of_which_a_field_is_not_known_cannot_be_read() -> None:
    of = benchmark()
    document = of.model_dump(by_alias=True, mode="json")
    document["spec"] |= NEWER
    with pytest.raises(ValidationError, match="fromTheFuture"):
        Benchmark.model_validate(document)
