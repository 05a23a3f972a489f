"""Tests what the operator caches of Benchmarks, and which of them it checks when nothing has happened."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sdbench.api.benchmark import Benchmark, Metadata
from sdbench.api.spec import Retention
from sdbench.api.status import Condition, ConditionStatus, ConditionType, Status, TrialPhase, TrialRow
from sdbench.controller.apiserver.cluster import Key, key_of
from sdbench.controller.cache import BenchmarkCache, is_over, is_settled
from unit.controller.shapes import benchmark

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def condition(kind: ConditionType, holds: bool = True, reason: str = "Reported") -> Condition:
    status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
    return Condition(type=kind, status=status, reason=reason, last_transition_time=NOON, observed_generation=1)


DONE = (condition(ConditionType.COMPLETE), condition(ConditionType.CLEANED_UP))
ABSENT = condition(ConditionType.ACCEPTED, False, "BackendUnavailable")


def with_status(*conditions: Condition, version: str = "7", **spec: Any) -> Benchmark:
    found = benchmark()
    status = Status(observed_generation=found.metadata.generation, conditions=conditions)
    metadata = found.metadata.model_copy(update={"resource_version": version})
    return found.model_copy(update={"status": status, "metadata": metadata, "spec": found.spec.model_copy(update=spec)})


def with_row(phase: TrialPhase, attempt: int, keep_seconds: int = 60) -> Benchmark:
    """A Benchmark that ended and is cleaned up, with one Trial."""
    found = with_status(*DONE, retention=Retention(failed_seconds=keep_seconds))
    row = TrialRow(trial=0, point="1", devices=1, repeat=0, phase=phase, attempt=attempt)
    return found.model_copy(update={"status": found.status.model_copy(update={"trials": (row,)})})


def test_a_benchmark_that_a_full_list_omits_is_gone() -> None:
    cache = BenchmarkCache()
    cache.put(benchmark())
    cache.start_listing()
    cache.replace(())
    assert cache.benchmarks() == ()


def test_a_full_list_does_not_undo_what_passes_found_meanwhile() -> None:
    cache, old, new = BenchmarkCache(), with_status(), with_status(*DONE, version="8")
    gone = old.model_copy(update={"metadata": old.metadata.model_copy(update={"name": "gone"})})
    cache.start_listing()
    cache.put(new)
    cache.drop(key_of(gone))
    cache.replace((old, gone))
    assert cache.benchmarks() == (new,)


def test_nothing_is_settled_before_the_operator_has_seen_it() -> None:
    assert not is_settled(benchmark())
    assert key_of(benchmark()) == Key("lab", "tiny")


@pytest.mark.parametrize(
    ("found", "needed"),
    [
        (with_status(), True),
        (with_status(condition(ConditionType.COMPLETE)), True),
        (with_status(*DONE, retention=Retention(failed_seconds=0)), False),
        (with_status(*DONE, ABSENT), True),
        (with_status(*DONE, ttl_seconds_after_finished=60), True),
        (with_status(*DONE, retention=Retention(failed_seconds=60)), False),
        (with_row(TrialPhase.SUCCEEDED, attempt=1), False),
        (with_row(TrialPhase.SUCCEEDED, attempt=2), True),
        (with_row(TrialPhase.SUCCEEDED, attempt=2, keep_seconds=0), False),
        (with_row(TrialPhase.FAILED, attempt=1), True),
        (with_row(TrialPhase.SKIPPED, attempt=1), True),
        (with_row(TrialPhase.SKIPPED, attempt=0), False),
    ],
)
def test_a_benchmark_that_may_change_by_itself_needs_a_pass(found: Benchmark, needed: bool) -> None:
    assert BenchmarkCache().needs_pass(found) is needed


def test_a_finished_benchmark_with_a_time_limit_needs_one_pass() -> None:
    cache, found = BenchmarkCache(), with_status(*DONE, ttl_seconds_after_finished=60)
    cache.put(found)
    assert not cache.needs_pass(found)
    assert cache.needs_pass(with_status(*DONE, ttl_seconds_after_finished=60, version="8"))


def test_an_unchanged_benchmark_is_not_parsed_again() -> None:
    cache, found = BenchmarkCache(), with_status()
    cache.put(found)
    same = {"namespace": "lab", "name": "tiny", "uid": found.metadata.uid, "resourceVersion": "7"}
    assert cache.unchanged(same) is found
    assert cache.unchanged(same | {"resourceVersion": "8"}) is None
    assert cache.unchanged(same | {"uid": "another"}) is None


def test_an_unreadable_benchmark_is_reported_again_only_when_it_has_changed() -> None:
    cache, metadata = BenchmarkCache(), with_status().metadata
    cache.mark_unreadable(metadata)
    assert cache.is_unreadable(metadata)
    assert not cache.is_unreadable(Metadata(name="tiny", namespace="lab", uid=metadata.uid, resource_version="8"))


@pytest.mark.parametrize(
    ("conditions", "generation", "over"),
    [(DONE, 1, True), (DONE, 2, False), (DONE[:1], 1, False), (DONE[1:], 1, False), ((), 1, False)],
)
def test_an_unread_benchmark_is_over_when_it_ended_was_cleaned_up_and_has_not_changed(
    conditions: tuple[Condition, ...], generation: int, over: bool
) -> None:
    status = Status(observed_generation=1, conditions=conditions).document()
    assert is_over({"metadata": {"generation": generation}, "status": status}) is over
    assert not is_over({"metadata": {"generation": generation}})


def test_a_refused_benchmark_gets_one_pass_from_each_operator() -> None:
    refused = condition(ConditionType.ACCEPTED, False, "PlanRefused")
    found = with_status(refused, condition(ConditionType.FAILED), condition(ConditionType.CLEANED_UP))
    cache = BenchmarkCache()
    assert is_settled(found)
    assert cache.needs_pass(found)
    cache.put(found)
    assert not cache.needs_pass(found)
