"""How does the operator look round? The cluster is played: it answers `served` and the list as each row says, in turn."""

import asyncio
from typing import Any

import pytest

from sdbench.controller.errors import ApiError, Unavailable
from sdbench.controller.operator import PROBE_SECONDS, RETRY_SECONDS, Operator, Options


class Played:
    """A cluster that says in turn what is served, or fails so."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    async def served(self, namespaces: tuple[str, ...]) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def benchmark_documents(self, namespaces: tuple[str, ...]) -> tuple[Any, ...]:
        return ()


class Over(Exception):
    """The play is over."""


async def waits(one: Operator, *answers: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the operator waits after each of these answers."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds > 0:
            found.append(seconds)
        if len(found) == len(answers):
            raise Over

    monkeypatch.setattr(asyncio, "sleep", sleep)
    played: Any = Played(*answers)
    with pytest.raises(Over):
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
async def test_an_api_server_that_asks_for_patience_has_it(
    error: Exception, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Operator(Options("image"))
    assert await waits(one, error, frozenset(), monkeypatch=monkeypatch) == [seconds, PROBE_SECONDS]
    assert one.complaint() == ""
