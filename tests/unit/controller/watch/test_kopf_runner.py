"""Tests what becomes of the operator when kopf ends, with `kopf.operator` replaced by a script."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import kopf
import pytest
from kopf._core.intents.causes import Activity

from sdbench.api.names import PLURAL
from sdbench.controller.apiserver.cluster import Served
from sdbench.controller.apiserver.errors import Unavailable
from sdbench.controller.apiserver.requests import JOBS
from sdbench.controller.watch import kopf_runner
from sdbench.controller.watch.kopf_runner import Watching

BOTH = Served(frozenset({PLURAL, JOBS}))
OURS = Served(frozenset({PLURAL}))
NOTHING = Served()
FAILURES: list[int] = []
"""One for each of which a Watching has told."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Kopf:
    """Counts how often it was started, takes the signals for itself, and ends as it is told, or is about to."""

    def __init__(self, *ends: Callable[[asyncio.Event], Any], hanging: bool = False) -> None:
        self._ends, self._hanging = list(ends), hanging
        self.watched: list[int] = []
        self.namespaces: list[tuple[str, ...]] = []

    async def operator(
        self,
        registry: kopf.OperatorRegistry,
        stop_flag: asyncio.Event,
        namespaces: tuple[str, ...],
        clusterwide: bool,
        **_: Any,
    ) -> None:
        assert clusterwide is not bool(namespaces)
        self.namespaces.append(namespaces)
        self.watched.append(len(list(registry._watching.get_all_handlers())))
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, lambda: None)
        for starting in registry._activities.get_handlers(activity=Activity.STARTUP):
            act: Any = starting.fn
            await act()
        try:
            await self._ends.pop(0)(stop_flag)
        finally:
            for ending in registry._activities.get_handlers(activity=Activity.CLEANUP):
                clean: Any = ending.fn
                await clean()
            if self._hanging and self._ends:
                await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before the next try, nor long for kopf."""
    monkeypatch.setattr(kopf_runner, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(kopf_runner, "KOPF_ENDING_SECONDS", 0.1)
    FAILURES.clear()


async def fails(_: asyncio.Event) -> None:
    raise RuntimeError("404 page not found")


async def is_cancelled(_: asyncio.Event) -> None:
    raise asyncio.CancelledError


async def hears_a_signal(_: asyncio.Event) -> None:
    """Before our own listening is back."""


async def stops_when_told(stop: asyncio.Event) -> None:
    await asyncio.wait_for(stop.wait(), 5)


async def run(played: Kopf, monkeypatch: pytest.MonkeyPatch, *served: Served | Exception) -> None:
    """Watch until the end; `served` says what the cluster serves, in turn, the last for ever."""
    monkeypatch.setattr(kopf, "operator", played.operator)
    answers = list(served)

    async def ask() -> Served:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = Watching(lambda key: None, lambda: FAILURES.append(1))
    try:
        await asyncio.wait_for(one.until_told_to_end(ask), 10)
    finally:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_kopf_is_started_anew_when_it_ends_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Kopf(fails, is_cancelled, hears_a_signal)
    await run(played, monkeypatch, BOTH)
    assert played.watched == [3, 3, 3]
    assert len(FAILURES) == 2


async def test_a_kopf_that_does_not_end_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Kopf(fails, fails, hears_a_signal, hanging=True)
    await run(played, monkeypatch, BOTH)
    assert played.watched == [3, 3, 3]
    assert len(FAILURES) == 2


async def test_a_kopf_that_does_not_stop_when_it_is_told_is_left_to_itself(
    monkeypatch: pytest.MonkeyPatch, ones: list[Watching]
) -> None:
    async def is_deaf(stop: asyncio.Event) -> None:
        ones[0].compare(BOTH)
        await asyncio.Event().wait()

    played = Kopf(is_deaf, hears_a_signal)
    await run(played, monkeypatch, OURS, BOTH)
    assert played.watched == [2, 3]


def watcher_of(plural: str, place: str | None = None) -> asyncio.Task[Any]:
    """As kopf names it; it survives being cancelled once."""

    async def watch() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    return asyncio.create_task(watch(), name=f"watcher for {plural}.v1.example.org@{place}")


async def test_the_watchers_that_kopf_forgets_are_ended_before_it_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgotten: list[asyncio.Task[Any]] = []

    async def fails_with_a_watcher(_: asyncio.Event) -> None:
        forgotten.append(watcher_of("pods"))
        await asyncio.sleep(0)
        raise RuntimeError("400")

    async def sees_it_ended(_: asyncio.Event) -> None:
        assert [one.done() for one in forgotten] == [True]

    monkeypatch.setattr("sdbench.controller.watch.kopf_runner.TRY_SECONDS", 0.05)
    played = Kopf(fails_with_a_watcher, sees_it_ended)
    await run(played, monkeypatch, BOTH)
    assert len(FAILURES) == 1


@pytest.mark.parametrize(
    ("served", "present", "renewed"),
    [
        (BOTH, [("pods", None), (PLURAL, None), (JOBS, None)], False),
        (BOTH, [("pods", None), (PLURAL, None)], True),
        (BOTH, [], True),
        (OURS, [("pods", None), (PLURAL, None)], False),
        (replace(OURS, namespaces=("a", "b")), [(one, place) for one in ("pods", PLURAL) for place in "ab"], False),
        (replace(OURS, namespaces=("a", "b")), [("pods", "a"), (PLURAL, "a"), ("pods", "b")], True),
    ],
)
async def test_what_is_served_and_has_no_watcher_for_long_is_watched_anew(
    monkeypatch: pytest.MonkeyPatch,
    ones: list[Watching],
    served: Served,
    present: list[tuple[str, str | None]],
    renewed: bool,
) -> None:
    monkeypatch.setattr("sdbench.controller.watch.kopf_runner.TRY_SECONDS", 0.05)
    told: list[bool] = []

    async def looks(stop: asyncio.Event) -> None:
        living = [watcher_of(*one) for one in present]
        ones[0].compare(served)
        assert not stop.is_set(), "kopf has some time to begin"
        monkeypatch.setattr(kopf_runner, "BEGINNING_SECONDS", 0.0)
        await asyncio.sleep(0.001)
        ones[0].compare(served)
        told.append(stop.is_set())
        for one in living:
            one.cancel()
        ones[0].compare(NOTHING)

    played = Kopf(looks, hears_a_signal)
    await run(played, monkeypatch, served)
    assert (told, len(FAILURES)) == ([renewed], int(renewed))


async def test_what_is_not_served_is_not_watched_and_nothing_is_without_benchmarks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Kopf(fails, hears_a_signal)
    await run(played, monkeypatch, NOTHING, Unavailable("503"), Served(frozenset({JOBS})), OURS, BOTH)
    assert played.watched == [2, 3]


def told_of(ones: list[Watching], same: Served, other: Served) -> Callable[[asyncio.Event], Any]:
    """Ends when it is told of the other."""

    async def told(stop: asyncio.Event) -> None:
        (one,) = ones
        one.compare(same)
        assert not stop.is_set(), "nothing has changed"
        one.compare(other)
        await stops_when_told(stop)

    return told


@pytest.fixture
def ones(monkeypatch: pytest.MonkeyPatch) -> list[Watching]:
    """All that are made."""
    found: list[Watching] = []
    made = Watching.__init__

    def remembered(self: Watching, *arguments: Any) -> None:
        made(self, *arguments)
        found.append(self)

    monkeypatch.setattr(Watching, "__init__", remembered)
    return found


async def test_kopf_is_started_anew_when_something_else_is_served(
    monkeypatch: pytest.MonkeyPatch, ones: list[Watching]
) -> None:
    played = Kopf(told_of(ones, OURS, BOTH), hears_a_signal)
    await run(played, monkeypatch, OURS, BOTH)
    assert played.watched == [2, 3]


async def test_kopf_watches_the_namespaces_in_which_it_may(
    monkeypatch: pytest.MonkeyPatch, ones: list[Watching]
) -> None:
    both, one_of_them = (replace(BOTH, namespaces=names) for names in (("team-a", "team-b"), ("team-b",)))
    said_otherwise = replace(one_of_them, closed={"team-a": "403: in other words"})
    played = Kopf(told_of(ones, both, one_of_them), told_of(ones, said_otherwise, both), hears_a_signal)
    await run(played, monkeypatch, both, one_of_them, both)
    assert played.namespaces == [("team-a", "team-b"), ("team-b",), ("team-a", "team-b")]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_ends_kopf_and_the_operator(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    async def signalled(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stops_when_told(stop)

    played = Kopf(signalled)
    await run(played, monkeypatch, BOTH)
    assert played.watched == [3]


async def test_a_signal_is_heard_while_kopf_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf_runner, "RETRY_SECONDS", 60.0)
    asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
    played = Kopf()
    await run(played, monkeypatch, NOTHING)
    assert played.watched == []


@pytest.fixture(autouse=True)
def no_end_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of an end would end the tests."""
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: None)
