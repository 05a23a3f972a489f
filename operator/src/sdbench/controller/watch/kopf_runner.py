"""Does kopf watch what there is to watch? It is started anew when that changes, and whenever it ends by itself.

    what is served? ─► kopf watches it ─► ends: of a signal ──────────────────────────────► the operator ends
           ▲                                    of an error, or because something else is served now ─┐
           │                                    or not at all when it should, and is left to itself ──┤
           └──────────────────────────────────────────────────────────────────────────────────────────┘

kopf looks only at its start which resources and namespaces there are, and dies of an answer that it does not expect: a
CRD that goes, a right that is missing for a moment while the API server starts, or in one of several namespaces for
good. The operator stays, and lists meanwhile; kopf is given only the namespaces in which it may watch. What was not
there when kopf looked it does without: so it is started anew when something that is served has no watcher for long.
"""

import asyncio
import faulthandler
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import kopf

from sdbench.api.names import PLURAL
from sdbench.controller.apiserver.cluster import Served
from sdbench.controller.apiserver.errors import ApiError, patience
from sdbench.controller.watch import handlers
from sdbench.controller.watch.watchers import cancel_all, unwatched, watchers

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
