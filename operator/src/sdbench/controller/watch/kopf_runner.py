"""Runs kopf, and restarts it when what the cluster serves changes or kopf ends by itself.

    what is served? ─► kopf watches it ─► ends: of a signal ──────────────────────────────► the operator ends
           ▲                                    of an error, or because something else is served now ─┐
           │                                    or not at all when it should, and is left to itself ──┤
           └──────────────────────────────────────────────────────────────────────────────────────────┘

kopf looks only at its start which resources and namespaces there are, and dies of an answer that it does not expect: a
CRD that goes, a right that is missing for a moment while the API server starts, or in one of several namespaces for
good. The operator stays, and lists meanwhile; kopf is given only the namespaces in which it may watch. What was not
there when kopf looked it does without: so it is started anew when something that is served has no watcher for long.

Which of kopf's watchers live, and how is one ended that kopf has forgotten? Each is a task, known by its name.

When one of them fails, kopf ends without its other ones. It cancels them last, each together with the task by which a
watcher is paused, and takes the one for the other: then a watcher begins again, with the login of a kopf that is no
more, and kopf waits for it for ever. A watcher that alone is cancelled ends.
"""

import asyncio
import faulthandler
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import kopf

from sdbench.api.names import PLURAL
from sdbench.controller.apiserver.cluster import Served
from sdbench.controller.apiserver.errors import ApiError, patience
from sdbench.controller.watch import handlers

RETRY_SECONDS = 5.0
ENDING_SECONDS = 20.0
"""After it an operator that was told to end, and has not, says where it hangs and is gone."""

KOPF_ENDING_SECONDS = 10.0
"""How long kopf may take to end."""

BEGINNING_SECONDS = 20.0
"""How long something may have no watcher: kopf asks for what there is again and again, for about as long."""

IDENTITY: Any = "sdbench"
"""Our name among kopf's peers, of which there are none. Without one kopf asks for the user's name, and dies where the
uid has none: in a container with any uid."""

Ask = Callable[[], Awaitable[Served]]
"""What there is to watch."""

log = logging.getLogger(__name__)


class Watching:
    """kopf, and what it watches now. `failed` is told of each time that something is not watched any more, or still."""

    def __init__(self, seen: handlers.Seen, failed: Callable[[], None] = lambda: None) -> None:
        self._seen, self._failed = seen, failed
        self._told_to_end = asyncio.Event()
        self._stop_kopf = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        """Of the time that kopf runs; while it does."""
        self._trouble, self._patience = "", RETRY_SECONDS
        self.watched: Served | None = None
        self._whole = time.monotonic()
        """When each of it had a watcher, or was given one."""

    async def until_told_to_end(self, served: Ask) -> None:
        """Watch until SIGTERM or SIGINT."""
        self._listen_to_signals()
        while not self._told_to_end.is_set():
            found = await self._found(served)
            renewed = found is not None and PLURAL in found.plurals and await self._watch(found)
            if not renewed:
                await self._pause()

    def compare(self, served: Served) -> None:
        """If there is something else to watch than what is watched, watch that."""
        if self.watched is None or self._stop_kopf.is_set():
            return
        if served != self.watched:
            where = f" in {', '.join(served.namespaces)}" if served.namespaces else ""
            log.info("served now: %s%s", ", ".join(sorted(served.plurals)) or "nothing of ours", where)
            self._stop()
        elif not (missing := unwatched(served)):
            self._whole = time.monotonic()
        elif time.monotonic() - self._whole > BEGINNING_SECONDS:
            log.warning("all watches are begun anew, as there is none of %s", ", ".join(sorted(missing)))
            self._failed()
            self._stop()

    async def _found(self, served: Ask) -> Served | None:
        """What there is to watch; nothing while the API server does not say so, which is told once."""
        try:
            found = await served()
        except ApiError as error:
            if str(error) != self._trouble:
                log.warning("the API server does not say what it serves: %s", error)
            self._trouble = str(error)
            self._patience = patience(error, RETRY_SECONDS)
            return None
        self._trouble, self._patience = "", RETRY_SECONDS
        return found

    async def _watch(self, found: Served) -> bool:
        """Let kopf watch until something ends it; whether that was we."""
        self.watched, self._whole = found, time.monotonic()
        self._stop_kopf = asyncio.Event()
        running = asyncio.create_task(self._kopf(found))
        try:
            await self._until_ended(running)
        except Exception as error:
            log.warning("the watch has ended, next try in %.0f s: %r", RETRY_SECONDS, error)
            self._failed()
        else:
            if not self._stop_kopf.is_set():
                self._end()
        finally:
            self.watched = None
            if not await cancel_all({running, *watchers()}):
                log.warning("something of kopf does not end, and is left to itself")
            self._listen_to_signals()
        return self._stop_kopf.is_set()

    async def _until_ended(self, running: asyncio.Task[None]) -> None:
        """Raises what kopf ends of, and TimeoutError if it should end and does not."""
        async with asyncio.timeout(None) as self._limit:
            try:
                await asyncio.wait({running})
            finally:
                self._limit = None
        if running.cancelled():
            raise RuntimeError("somebody has cancelled kopf")
        running.result()

    async def _kopf(self, found: Served) -> None:
        registry = handlers.registry(self._seen, found.plurals)
        # kopf takes the signals for itself when it starts, and does not give them back.
        kopf.on.startup(registry=registry)(self._take_signals_back)
        kopf.on.cleanup(registry=registry)(self._end_what_kopf_forgets)
        await kopf.operator(
            registry=registry,
            settings=handlers.settings(),
            clusterwide=not found.namespaces,
            namespaces=found.namespaces,
            identity=IDENTITY,
            stop_flag=self._stop_kopf,
        )

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._told_to_end.wait()

    async def _take_signals_back(self, **_: Any) -> None:
        self._listen_to_signals()

    async def _end_what_kopf_forgets(self, **_: Any) -> None:
        self._limit_the_end()
        await cancel_all(watchers())

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)

    def _end(self) -> None:
        if not self._told_to_end.is_set():
            log.info("told to end")
            faulthandler.dump_traceback_later(ENDING_SECONDS, exit=True)
        self._told_to_end.set()
        self._stop()

    def _stop(self) -> None:
        self._stop_kopf.set()
        self._limit_the_end()

    def _limit_the_end(self) -> None:
        """kopf is ending, and has some seconds for it."""
        if self._limit is not None and self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time() + KOPF_ENDING_SECONDS)


NAME = "watcher for "
"""How the name of a watcher's task begins; the resource follows, as in pods.v1@team-a, and the namespace, or None."""

PODS = "pods"
TRIES, TRY_SECONDS = 3, 2.0
"""A watcher may take exit_timeout, two seconds, to end what it has begun."""

Task = asyncio.Task[Any]


def watchers() -> frozenset[Task]:
    """Those that live."""
    return frozenset(task for task in asyncio.all_tasks() if task.get_name().startswith(NAME))


def unwatched(served: Served) -> frozenset[str]:
    """What is served and has no watcher, as in pods@team-a."""
    places = served.namespaces or (None,)
    wanted = {f"{plural}@{place}" for plural in (*served.plurals, PODS) for place in places}
    return frozenset(wanted - {_watched(task.get_name()) for task in watchers()})


def _watched(name: str) -> str:
    resource, _, place = name.removeprefix(NAME).partition("@")
    return f"{resource.partition('.')[0]}@{place}"


async def cancel_all(tasks: Iterable[Task]) -> bool:
    """Cancel these tasks; whether they have ended, for which they have some seconds."""
    left = set(tasks)
    for _ in range(TRIES):
        left = {task for task in left if not task.done()}
        if not left:
            return True
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=TRY_SECONDS)
    return all(task.done() for task in left)
