"""Tests how the operator handles a status or a spec from another version of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.core.decide import decide
from unit.core.worlds import after, attempt, benchmark, pod, snapshot

NEWER = {"fromTheFuture": {"kept": [1, 2]}}


def read_again(of: Benchmark, status: dict[str, Any]) -> Benchmark:
    """The Benchmark with this status, as the API server returns it."""
    return Benchmark.model_validate(of.model_dump(by_alias=True, mode="json", exclude={"status"}) | {"status": status})


def test_fields_of_a_newer_version_are_kept_while_trials_run() -> None:
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


def test_a_finished_status_of_a_newer_version_is_not_rewritten() -> None:
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


def test_a_status_with_an_unknown_phase_or_reason_is_rejected() -> None:
    at = snapshot(benchmark())
    for part in ({"phase": "Paused"}, {"reason": "StruckByLightning"}):
        status = decide(at).status.document()
        status["trials"][0] |= part
        with pytest.raises(ValidationError, match=r"trials\.0"):
            read_again(at.benchmark, status)


def test_a_spec_with_an_unknown_field_is_rejected() -> None:
    of = benchmark()
    document = of.model_dump(by_alias=True, mode="json")
    document["spec"] |= NEWER
    with pytest.raises(ValidationError, match="fromTheFuture"):
        Benchmark.model_validate(document)
