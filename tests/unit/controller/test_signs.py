"""Tests the clock, errors, liveness, rights and series of the operator."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from sdbench.api.status import Status
from sdbench.controller.apiserver import errors, rbac, requests
from sdbench.controller.apiserver.client import ServerClock
from sdbench.controller.apiserver.cluster import key_of
from sdbench.controller.apiserver.errors import error_in
from sdbench.controller.cache import BenchmarkCache
from sdbench.controller.liveness import LIST_LIMIT, PASS_LIMIT, TRY_LIMIT, Liveness
from sdbench.controller.metrics import definitions
from sdbench.controller.metrics.collector import OperatorSeries
from unit.controller.shapes import benchmark

ROOT = Path(__file__).resolve().parents[3]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def date(seconds: int) -> str:
    return (NEW_YEAR + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_the_clock_runs_on_between_two_responses() -> None:
    clock = ServerClock()
    clock.set(date(0), 100.0)
    assert clock.now(102.5) == NEW_YEAR + timedelta(seconds=2.5)


def test_the_clock_does_not_step_back_within_the_second_of_a_header() -> None:
    clock = ServerClock()
    clock.set(date(0), 100.0)
    clock.set(date(1), 101.9)
    assert clock.now(101.9) == NEW_YEAR + timedelta(seconds=1.9)


@pytest.mark.parametrize(("server", "reported"), [(50, 50), (-50, -49)])
def test_the_clock_follows_a_server_that_jumps(server: int, reported: int) -> None:
    clock = ServerClock()
    clock.set(date(0), 100.0)
    clock.set(date(server), 100.0)
    assert clock.now(100.0) == NEW_YEAR + timedelta(seconds=reported)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, '{"message": "gone", "reason": "NotFound"}', errors.NotFound),
        (409, '{"message": "there", "reason": "AlreadyExists"}', errors.AlreadyExists),
        (409, '{"message": "changed", "reason": "Conflict"}', errors.Conflict),
        (403, '{"message": "exceeded quota"}', errors.Forbidden),
        (422, '{"message": "invalid"}', errors.Invalid),
        (503, "upstream connect error", errors.Unavailable),
        (500, '{"message": "Internal error occurred: failed calling webhook \\"v\\": EOF"}', errors.WebhookFailed),
        (429, "[]", errors.Unavailable),
    ],
)
def test_each_response_becomes_its_kind_of_error(status: int, body: str, kind: type) -> None:
    error = error_in(status, body, {"Retry-After": "3"})
    assert type(error) is kind
    assert str(status) in str(error)
    if isinstance(error, errors.Unavailable):
        assert error.retry_after == 3


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.Unavailable("429", retry_after=90), 90),
        (errors.Unavailable("429", retry_after=1), 5),
        (errors.Unavailable("503"), 5),
        (errors.WebhookFailed("500", retry_after=7), 7),
        (errors.Forbidden("403"), 5),
        (RuntimeError(), 5),
    ],
)
def test_the_delay_is_the_retry_after_or_the_usual_one_if_that_is_longer(error: Exception, seconds: float) -> None:
    assert errors.retry_after(error, at_least=5) == seconds


def test_a_retry_after_of_days_is_cut_to_minutes() -> None:
    error = error_in(429, "[]", {"Retry-After": "86400"})
    assert isinstance(error, errors.Unavailable)
    assert error.retry_after == errors.LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("quiet", "silence", "age", "overdue", "word"),
    [
        (0, 0, 0, 0, ""),
        (PASS_LIMIT * 9, 0, 0, 0, ""),
        (PASS_LIMIT + 1, 0, 0, PASS_LIMIT + 1, "pass"),
        (0, 0, 0, PASS_LIMIT + 1, ""),
        (0, TRY_LIMIT + 1, 0, 0, "no attempt"),
        (0, -errors.LONGEST_RETRY_AFTER, 0, 0, ""),
        (0, 0, 360, 0, ""),
        (0, 0, LIST_LIMIT + 1, 0, "last successful list"),
    ],
)
def test_health_fails_when_work_waits_or_lists_stop_but_not_for_an_outage_of_minutes(
    quiet: float, silence: float, age: float, overdue: float, word: str
) -> None:
    now = 10_000.0
    said = Liveness(last_pass=now - quiet, next_try=now - silence, last_list=now - age).problem(now, overdue)
    assert word in said
    assert bool(said) == bool(word)


def test_the_rules_in_the_chart_are_up_to_date() -> None:
    assert (ROOT / "charts/sdbench/files/rules.yaml").read_text() == rbac.rbac_yaml(), "run make generate"


def test_no_right_on_secrets_and_no_wildcard_is_requested() -> None:
    asked = rbac.rbac_rules(rbac.rights())
    assert not any("secrets" in rule["resources"] or "*" in str(rule) for rule in asked)
    assert all("patch" not in rule["verbs"] for rule in asked)


def test_every_call_is_in_the_table_of_rights() -> None:
    defined = {value for value in vars(requests).values() if isinstance(value, requests.Call)}
    assert defined == set(requests.CALLS)


def test_series_are_served_while_their_benchmark_exists() -> None:
    board = BenchmarkCache()
    one = benchmark().model_copy(update={"status": Status(spent_device_seconds=7)})
    board.put(one)
    served = OperatorSeries(board.benchmarks, lambda: 3)
    text = generate_latest(served.registry).decode()
    assert 'sdbench_benchmark_spent_device_seconds_total{benchmark="tiny",namespace="lab"} 7.0' in text
    assert 'sdbench_benchmark_phase{benchmark="tiny",namespace="lab",phase="Pending"} 1.0' in text
    assert "sdbench_operator_queue_depth 3.0" in text
    board.drop(key_of(one))
    assert 'benchmark="tiny"' not in generate_latest(served.registry).decode()


def test_the_table_of_series_and_the_served_series_are_the_same() -> None:
    served = OperatorSeries(lambda: (), lambda: 0)
    names = {family.name: family.documentation for family in served.registry.collect()}
    assert names == {one.name.removesuffix("_total"): one.help for one in definitions.ALL}
