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
from sdbench.controller.watch.kopf_runner import KopfRunner

BOTH = Served(frozenset({PLURAL, JOBS}))
OURS = Served(frozenset({PLURAL}))
NOTHING = Served()
FAILURES: list[int] = []
"""One entry for each failure that a KopfRunner reports."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Kopf:
    """Plays kopf: records what it watches, takes the signals for itself, and ends in the given ways, one per start."""

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
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries are immediate, and kopf has little time to end."""
    monkeypatch.setattr(kopf_runner, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(kopf_runner, "KOPF_EXIT_SECONDS", 0.1)
    FAILURES.clear()


async def fails(_: asyncio.Event) -> None:
    raise RuntimeError("404 page not found")


async def is_cancelled(_: asyncio.Event) -> None:
    raise asyncio.CancelledError


async def hears_a_signal(_: asyncio.Event) -> None:
    """Ends without an error, as kopf does after a signal that it caught."""


async def stops_when_asked(stop: asyncio.Event) -> None:
    await asyncio.wait_for(stop.wait(), 5)


async def run(played: Kopf, monkeypatch: pytest.MonkeyPatch, *served: Served | Exception) -> None:
    """Runs until the end; `served` is what the cluster serves, one value after the other, and the last one forever."""
    monkeypatch.setattr(kopf, "operator", played.operator)
    answers = list(served)

    async def ask() -> Served:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = KopfRunner(lambda key: None, lambda: FAILURES.append(1))
    try:
        await asyncio.wait_for(one.run(ask), 10)
    finally:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_kopf_is_restarted_when_it_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Kopf(fails, is_cancelled, hears_a_signal)
    await run(played, monkeypatch, BOTH)
    assert played.watched == [3, 3, 3]
    assert len(FAILURES) == 2


async def test_the_operator_goes_on_without_a_kopf_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Kopf(fails, fails, hears_a_signal, hanging=True)
    await run(played, monkeypatch, BOTH)
    assert played.watched == [3, 3, 3]
    assert len(FAILURES) == 2


async def test_the_operator_goes_on_without_a_kopf_that_ignores_its_stop_flag(
    monkeypatch: pytest.MonkeyPatch, runners: list[KopfRunner]
) -> None:
    async def is_deaf(stop: asyncio.Event) -> None:
        runners[0].restart_if_changed(BOTH)
        await asyncio.Event().wait()

    played = Kopf(is_deaf, hears_a_signal)
    await run(played, monkeypatch, OURS, BOTH)
    assert played.watched == [2, 3]


def watcher_of(plural: str, place: str | None = None) -> asyncio.Task[Any]:
    """A task with the name that kopf gives its watchers; it survives one cancellation."""

    async def watch() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    return asyncio.create_task(watch(), name=f"watcher for {plural}.v1.example.org@{place}")


async def test_watchers_that_kopf_forgets_are_cancelled_before_it_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgotten: list[asyncio.Task[Any]] = []

    async def fails_with_a_watcher(_: asyncio.Event) -> None:
        forgotten.append(watcher_of("pods"))
        await asyncio.sleep(0)
        raise RuntimeError("400")

    async def sees_it_ended(_: asyncio.Event) -> None:
        assert [one.done() for one in forgotten] == [True]

    monkeypatch.setattr("sdbench.controller.watch.kopf_runner.CANCEL_SECONDS", 0.05)
    played = Kopf(fails_with_a_watcher, sees_it_ended)
    await run(played, monkeypatch, BOTH)
    assert len(FAILURES) == 1


@pytest.mark.parametrize(
    ("served", "present", "restarted"),
    [
        (BOTH, [("pods", None), (PLURAL, None), (JOBS, None)], False),
        (BOTH, [("pods", None), (PLURAL, None)], True),
        (BOTH, [], True),
        (OURS, [("pods", None), (PLURAL, None)], False),
        (replace(OURS, namespaces=("a", "b")), [(one, place) for one in ("pods", PLURAL) for place in "ab"], False),
        (replace(OURS, namespaces=("a", "b")), [("pods", "a"), (PLURAL, "a"), ("pods", "b")], True),
    ],
)
async def test_kopf_is_restarted_if_something_served_has_no_watcher_for_long(
    monkeypatch: pytest.MonkeyPatch,
    runners: list[KopfRunner],
    served: Served,
    present: list[tuple[str, str | None]],
    restarted: bool,
) -> None:
    monkeypatch.setattr("sdbench.controller.watch.kopf_runner.CANCEL_SECONDS", 0.05)
    stopped: list[bool] = []

    async def looks(stop: asyncio.Event) -> None:
        living = [watcher_of(*one) for one in present]
        runners[0].restart_if_changed(served)
        assert not stop.is_set(), "kopf has some time to begin"
        monkeypatch.setattr(kopf_runner, "WATCHER_START_SECONDS", 0.0)
        await asyncio.sleep(0.001)
        runners[0].restart_if_changed(served)
        stopped.append(stop.is_set())
        for one in living:
            one.cancel()
        runners[0].restart_if_changed(NOTHING)

    played = Kopf(looks, hears_a_signal)
    await run(played, monkeypatch, served)
    assert (stopped, len(FAILURES)) == ([restarted], int(restarted))


async def test_only_what_is_served_is_watched_and_nothing_without_benchmarks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Kopf(fails, hears_a_signal)
    await run(played, monkeypatch, NOTHING, Unavailable("503"), Served(frozenset({JOBS})), OURS, BOTH)
    assert played.watched == [2, 3]


def ended_by_change(runners: list[KopfRunner], same: Served, other: Served) -> Callable[[asyncio.Event], Any]:
    """Plays a kopf that ends when the runner hears of another `Served`."""

    async def ends(stop: asyncio.Event) -> None:
        (one,) = runners
        one.restart_if_changed(same)
        assert not stop.is_set(), "nothing has changed"
        one.restart_if_changed(other)
        await stops_when_asked(stop)

    return ends


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> list[KopfRunner]:
    """All that are made."""
    found: list[KopfRunner] = []
    made = KopfRunner.__init__

    def remembered(self: KopfRunner, *arguments: Any) -> None:
        made(self, *arguments)
        found.append(self)

    monkeypatch.setattr(KopfRunner, "__init__", remembered)
    return found


async def test_kopf_is_restarted_when_something_else_is_served(
    monkeypatch: pytest.MonkeyPatch, runners: list[KopfRunner]
) -> None:
    played = Kopf(ended_by_change(runners, OURS, BOTH), hears_a_signal)
    await run(played, monkeypatch, OURS, BOTH)
    assert played.watched == [2, 3]


async def test_kopf_watches_only_the_readable_namespaces(
    monkeypatch: pytest.MonkeyPatch, runners: list[KopfRunner]
) -> None:
    both, one_of_them = (replace(BOTH, namespaces=names) for names in (("team-a", "team-b"), ("team-b",)))
    said_otherwise = replace(one_of_them, unreadable={"team-a": "403: in other words"})
    played = Kopf(
        ended_by_change(runners, both, one_of_them), ended_by_change(runners, said_otherwise, both), hears_a_signal
    )
    await run(played, monkeypatch, both, one_of_them, both)
    assert played.namespaces == [("team-a", "team-b"), ("team-b",), ("team-a", "team-b")]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_ends_kopf_and_the_operator(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    async def signalled(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stops_when_asked(stop)

    played = Kopf(signalled)
    await run(played, monkeypatch, BOTH)
    assert played.watched == [3]


async def test_a_signal_ends_the_operator_while_kopf_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf_runner, "RETRY_SECONDS", 60.0)
    asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
    played = Kopf()
    await run(played, monkeypatch, NOTHING)
    assert played.watched == []


@pytest.fixture(autouse=True)
def no_end_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of an end would end the tests."""
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: None)
