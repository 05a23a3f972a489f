"""Runs kopf, and restarts it when what the cluster serves changes or kopf ends by itself.

    what is served? ─► kopf watches it ─► ends: by a signal ──────────────────────────────► the operator ends
           ▲                                    by an error, or because something else is served now ─┐
           └──────────────────────────────────────────────────────────────────────────────────────────┘

kopf asks only at its start which resources and namespaces there are, and ends on an answer that it does not expect: a
CRD that is deleted, a right that is missing while the API server starts, an outage longer than its back-offs. The
operator does not end with it. While a watch is refused, Kubernetes would restart the operator again and again, with a
back-off of up to five minutes; without watches, passes and metrics go on from the periodic list.
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
from sdbench.controller.apiserver.errors import ApiError, retry_after
from sdbench.controller.watch import handlers

RETRY_SECONDS = 5.0
EXIT_SECONDS = 20.0
"""An operator that has not ended so long after a signal dumps its stacks and exits."""

KOPF_EXIT_SECONDS = 10.0
"""How long kopf may take to end."""

WATCHER_START_SECONDS = 20.0
"""How long something may have no watcher: kopf repeats its discovery for about as long."""

IDENTITY: Any = "sdbench"
"""Our name among kopf's peers, of which there are none. Without it kopf looks up the user's name, and fails in a
container whose uid has none."""

WATCHER = "watcher for "
"""Prefix of the name of a watcher's task; the resource and namespace follow, as in pods.v1@team-a or pods.v1@None."""

PODS = "pods"
CANCELS, CANCEL_SECONDS = 3, 2.0
"""How often a task is cancelled, and how long each time it may take to end."""

log = logging.getLogger(__name__)


class KopfRunner:
    """kopf, and what it watches now. `on_failure` is called each time that watches fail or do not begin."""

    def __init__(self, enqueue: handlers.Enqueue, on_failure: Callable[[], None] = lambda: None) -> None:
        self._enqueue, self._on_failure = enqueue, on_failure
        self._exit = asyncio.Event()
        self._stop_kopf = asyncio.Event()
        self._kopf_limit: asyncio.Timeout | None = None
        """Limits the time that kopf takes to end; None while kopf does not run."""
        self.watched: Served | None = None
        self._complete_at = time.monotonic()
        """When everything last had a watcher, or kopf was started."""

    async def run(self, ask: Callable[[], Awaitable[Served]]) -> None:
        """Watches what `ask` says is served, until SIGTERM or SIGINT."""
        self._take_signals()
        last_error = ""
        while not self._exit.is_set():
            served, wait = Served(), RETRY_SECONDS
            try:
                served = await ask()
                last_error = ""
            except ApiError as error:
                # An outage takes many attempts, and is one line in the log.
                if str(error) != last_error:
                    log.warning("the API server does not say what it serves: %s", error)
                last_error, wait = str(error), retry_after(error, RETRY_SECONDS)
            if PLURAL in served.plurals and await self._watch(served):
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._exit.wait()

    def restart_if_changed(self, served: Served) -> None:
        """Restarts kopf if the served resources or namespaces changed, or something has had no watcher for long."""
        if self.watched is None or self._stop_kopf.is_set():
            return
        if served != self.watched:
            where = f" in {', '.join(served.namespaces)}" if served.namespaces else ""
            log.info("restarting the watches; served now: %s%s", ", ".join(sorted(served.plurals)) or "nothing", where)
            self._stop()
        elif not (missing := unwatched(served)):  # kopf goes on without what its discovery does not find
            self._complete_at = time.monotonic()
        elif time.monotonic() - self._complete_at > WATCHER_START_SECONDS:
            log.warning("restarting the watches, as there is none of %s", ", ".join(sorted(missing)))
            self._on_failure()
            self._stop()

    async def _watch(self, served: Served) -> bool:
        """Runs kopf until something ends it; returns whether we did."""
        self.watched, self._complete_at = served, time.monotonic()
        self._stop_kopf = asyncio.Event()
        kopf_task = asyncio.create_task(self._run_kopf(served))
        try:
            async with asyncio.timeout(None) as self._kopf_limit:
                await asyncio.wait({kopf_task})
            # A limit that is over cannot be changed any more.
            self._kopf_limit = None
            if kopf_task.cancelled():
                raise RuntimeError("kopf was cancelled")
            kopf_task.result()
        except Exception as error:
            log.warning("the watches failed; restarting them in %.0f s: %r", RETRY_SECONDS, error)
            self._on_failure()
        else:
            if not self._stop_kopf.is_set():
                # kopf ended without an error and without us: by a signal that it caught before we took it back.
                self._begin_exit()
        finally:
            self.watched = self._kopf_limit = None
            if not await cancel_all({kopf_task, *watchers()}):
                log.warning("a task of kopf does not end; going on without it")
            self._take_signals()
        return self._stop_kopf.is_set()

    async def _run_kopf(self, served: Served) -> None:
        registry = handlers.registry(self._enqueue, served.plurals)

        async def started(**_: Any) -> None:
            # kopf takes the signals when it starts, and does not give them back.
            self._take_signals()

        async def ending(**_: Any) -> None:
            # When a watcher fails, kopf cancels the others last, each together with the task that pauses it, and
            # confuses the two: the watcher starts again with a closed session, and kopf waits for it forever.
            self._limit_kopf()
            await cancel_all(watchers())

        kopf.on.startup(registry=registry)(started)
        kopf.on.cleanup(registry=registry)(ending)
        await kopf.operator(
            registry=registry,
            settings=handlers.settings(),
            clusterwide=not served.namespaces,
            namespaces=served.namespaces,
            identity=IDENTITY,
            stop_flag=self._stop_kopf,
        )

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_exit)

    def _begin_exit(self) -> None:
        if not self._exit.is_set():
            log.info("exiting after a signal")
            faulthandler.dump_traceback_later(EXIT_SECONDS, exit=True)
        self._exit.set()
        self._stop()

    def _stop(self) -> None:
        self._stop_kopf.set()
        self._limit_kopf()

    def _limit_kopf(self) -> None:
        """Gives kopf, which is ending, some seconds for it."""
        if self._kopf_limit is not None and self._kopf_limit.when() is None:
            self._kopf_limit.reschedule(asyncio.get_running_loop().time() + KOPF_EXIT_SECONDS)


def watchers() -> frozenset[asyncio.Task[Any]]:
    """The tasks of kopf's watchers."""
    return frozenset(task for task in asyncio.all_tasks() if task.get_name().startswith(WATCHER))


def unwatched(served: Served) -> frozenset[str]:
    """What is served and has no watcher, as in pods@team-a."""
    wanted = {f"{plural}@{place}" for plural in (*served.plurals, PODS) for place in served.namespaces or (None,)}
    names = (task.get_name().removeprefix(WATCHER).partition("@") for task in watchers())
    return frozenset(wanted - {f"{resource.partition('.')[0]}@{place}" for resource, _, place in names})


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> bool:
    """Cancels these tasks; returns whether they have ended, for which they have some seconds."""
    # More than once: a watcher may catch the first cancellation, and takes up to two seconds to end its workers.
    left = set(tasks)
    for _ in range(CANCELS):
        left = {task for task in left if not task.done()}
        if not left:
            return True
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_SECONDS)
    return all(task.done() for task in left)
