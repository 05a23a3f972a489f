"""Tests how the operator lists everything, and when a pass is repeated."""

import asyncio
from typing import Any

import pytest

from sdbench.api.names import PLURAL
from sdbench.controller import operator
from sdbench.controller.apiserver.cluster import Served, key_of
from sdbench.controller.apiserver.errors import ApiError, Unavailable
from sdbench.controller.apiserver.requests import JOBS
from sdbench.controller.operator import PROBE_SECONDS, RETRY_SECONDS, Operator, Options
from sdbench.controller.reconcile import Pass
from unit.controller.shapes import benchmark


class ScriptedCluster:
    """A cluster whose `served` returns or raises these answers, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    async def served(self, namespaces: tuple[str, ...]) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def benchmark_documents(self, namespaces: tuple[str, ...]) -> tuple[Any, ...]:
        return ()


class ScriptEnded(Exception):
    """Raised when no answer is left."""


async def waits(one: Operator, *answers: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Returns how many seconds the operator waits after each of these answers."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds > 0:
            found.append(seconds)
        if len(found) == len(answers):
            raise ScriptEnded

    monkeypatch.setattr(asyncio, "sleep", sleep)
    played: Any = ScriptedCluster(*answers)
    with pytest.raises(ScriptEnded):
        await one.resync(played)
    return found


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Unavailable("429: too many requests", retry_after=90), 90),
        (Unavailable("429: too many requests", retry_after=1), RETRY_SECONDS),
        (ApiError("500: etcdserver: no leader"), RETRY_SECONDS),
    ],
)
async def test_the_operator_obeys_a_retry_after(
    error: Exception, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Operator(Options("image"))
    assert await waits(one, error, Served(), monkeypatch=monkeypatch) == [seconds, PROBE_SECONDS]
    assert one.problem() == ""


@pytest.mark.parametrize(("served", "listed"), [(frozenset({PLURAL, JOBS}), True), (frozenset({JOBS}), False)])
async def test_the_last_list_is_recorded_only_if_something_was_listed(
    served: frozenset[str], listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Operator(Options("image"))
    assert last_list(one) == 0
    await waits(one, Served(served), monkeypatch=monkeypatch)
    assert (last_list(one) > 0) is listed


def last_list(one: Operator) -> float:
    value = one.series.registry.get_sample_value("sdbench_operator_last_list_timestamp_seconds")
    assert value is not None
    return value


async def test_a_namespace_is_logged_once_when_it_becomes_unreadable_and_readable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    both = frozenset({PLURAL, JOBS})
    shut = Served(both, ("team-b",), {"team-a": "403: forbidden"})
    opened = Served(both, ("team-a", "team-b"))
    one = Operator(Options("image", ("team-a", "team-b")))
    await waits(one, opened, shut, shut, opened, opened, monkeypatch=monkeypatch)
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in said] == ["team-a", "team-a"]
    assert "watchNamespaces" in said[0]
    assert "403: forbidden" in said[0]
    assert "again" in said[1]


async def test_the_third_conflict_in_a_row_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, changed, played = Operator(Options("image")), benchmark(), ScriptedCluster()

    async def conflict(*_: Any) -> Pass:
        return Pass(changed, conflict=True)

    monkeypatch.setattr(operator, "reconcile", conflict)
    counted = []
    for _ in range(4):
        await one._pass(played, key_of(changed))  # type: ignore[arg-type]
        counted.append(conflicts(one))
    assert counted == [0, 0, 1, 2]


def conflicts(one: Operator) -> float:
    value = one.series.registry.get_sample_value("sdbench_operator_reconcile_errors_total", {"reason": "Conflict"})
    assert value is not None
    return value
