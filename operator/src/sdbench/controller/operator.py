"""Runs the operator: watches fill a queue, workers make passes, and a periodic list catches what a watch has missed.

kopf watches ───┐          (watch/kopf_runner.py)
requeue_after ──┼─► WorkQueue ─► workers ─► reconcile ─► BenchmarkCache ─► /metrics
list of all ────┘
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import sdbench
from sdbench.api.benchmark import Benchmark
from sdbench.api.names import PLURAL
from sdbench.api.spec_scheduling import Preset
from sdbench.api.workload import Workload
from sdbench.controller.apiserver.client import connected
from sdbench.controller.apiserver.cluster import Cluster, Key, Served, benchmark_in, key_of
from sdbench.controller.apiserver.errors import ApiError, Conflict, Forbidden, Unreadable, retry_after
from sdbench.controller.apiserver.requests import JOBS
from sdbench.controller.cache import BenchmarkCache
from sdbench.controller.concurrency import ConcurrencyGate
from sdbench.controller.liveness import Liveness
from sdbench.controller.metrics.collector import OperatorSeries
from sdbench.controller.metrics.server import served
from sdbench.controller.reconcile import reconcile
from sdbench.controller.watch.kopf_runner import KopfRunner
from sdbench.controller.workqueue import WorkQueue
from sdbench.core.snapshot import Bounds, Defaults, Event

WORKERS = 8
PROBE_SECONDS = 10.0
"""Interval at which the operator asks what the cluster serves."""

RESYNC_SECONDS = 45.0
"""Interval at which it lists everything."""

RETRY_SECONDS = 5.0
CONFLICT_SECONDS = 0.05
LAG_SECONDS = 1.0

HOW_TO_INSTALL = {
    PLURAL: "the cluster knows no StableDiffusionBenchmarks: apply the chart's CRD",
    JOBS: "the cluster knows no PyTorchJobs: install the Kubeflow training-operator",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The operator's settings."""

    default_image: str
    namespaces: tuple[str, ...] = ()
    """The namespaces whose Benchmarks are run; empty: all."""
    port: int = 8080
    bounds: Bounds = field(default_factory=Bounds)
    presets: Mapping[str, Preset] = field(default_factory=dict)
    workload: Workload | None = None


def run_operator(options: Options) -> None:
    """Runs until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # kopf logs one line for every event that it handles.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    asyncio.run(_operate(options))


async def _operate(options: Options) -> None:
    operator = Operator(options)
    async with connected(operator.series.request_sent) as transport:
        cluster = Cluster(transport, operator.series.pass_failed)
        async with served(options.port, operator.series.registry, operator.problem), asyncio.TaskGroup() as tasks:
            own = [tasks.create_task(operator.resync(cluster)), tasks.create_task(operator.measure_lag())]
            own += [tasks.create_task(operator.work(cluster)) for _ in range(WORKERS)]
            await operator.watch(cluster)
            for task in own:
                task.cancel()


class Operator:
    """The queue, the cache and the coroutines that use them side by side."""

    def __init__(self, options: Options) -> None:
        now = time.monotonic()
        self._options = options
        self._defaults = Defaults(
            options.default_image, sdbench.__version__, options.bounds, options.presets, options.workload
        )
        self._queue: WorkQueue[Key] = WorkQueue(time.monotonic)
        self._cache = BenchmarkCache()
        self._concurrency = ConcurrencyGate(self._cache)
        self._liveness = Liveness(last_pass=now, next_try=now, last_list=now)
        self._served = Served()
        self._unavailable = False
        self._last_warning = ""
        self.series = OperatorSeries(self._cache.benchmarks, self._queue.depth)
        self._kopf = KopfRunner(self._enqueue, self.series.watch_failures.inc)

    def problem(self) -> str:
        """A sentence about what is wrong; empty while all is well."""
        return self._liveness.problem(time.monotonic(), self._queue.overdue())

    async def watch(self, cluster: Cluster) -> None:
        """Watches until a signal comes."""
        await self._kopf.run(lambda: cluster.served(self._options.namespaces))

    async def work(self, cluster: Cluster) -> None:
        """Makes one pass after the other."""
        while True:
            key = await self._queue.get()
            started = time.monotonic()
            try:
                await self._pass(cluster, key)
            except Unreadable as error:
                await self._skip_unreadable(cluster, key, error)
            except ApiError as error:
                self._retry(key, error)
            except Exception as error:
                # A bug that one Benchmark triggers must not keep the others from being run.
                log.exception("%s/%s: a bug in this version of the operator", *key)
                self._retry(key, error)
            finally:
                self._liveness.last_pass = time.monotonic()
                self.series.duration.observe(self._liveness.last_pass - started)

    async def resync(self, cluster: Cluster) -> None:
        """Lists everything from time to time: finds what a watch has missed, and forgets what is gone."""
        while True:
            try:
                await self._probe(cluster)
                wait = PROBE_SECONDS
            except ApiError as error:
                self._unavailable = True
                wait = retry_after(error, RETRY_SECONDS)
                self._warn_once(f"API server unavailable; retrying every {wait:.0f} s: {error}")
            except Exception:
                log.exception("a bug in this version of the operator")
                wait = RESYNC_SECONDS
            self._liveness.next_try = time.monotonic() + wait
            await asyncio.sleep(wait)

    async def measure_lag(self) -> None:
        """Measures how late this event loop is: whatever blocks it delays every Benchmark."""
        while True:
            due = time.monotonic() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.series.lag.set(max(0.0, time.monotonic() - due))

    async def _probe(self, cluster: Cluster) -> None:
        """Asks what is served; lists everything if that has changed, after an outage, and every RESYNC_SECONDS."""
        before, self._served = self._served, await cluster.served(self._options.namespaces)
        self._kopf.restart_if_changed(self._served)
        missing = [sentence for plural, sentence in HOW_TO_INSTALL.items() if plural not in self._served.plurals]
        self._warn_once("; ".join(missing))
        _log_namespaces(before, self._served)
        if self._unavailable:
            self._queue.forget_all()
        age = time.monotonic() - self._liveness.last_list
        if self._served != before or self._unavailable or age >= RESYNC_SECONDS:
            await self._list(cluster)
        self._unavailable = False

    async def _list(self, cluster: Cluster) -> None:
        """Replaces the cache's content by a full list, and queues each Benchmark that needs a pass."""
        self._cache.start_listing()
        is_served = PLURAL in self._served.plurals
        found: list[Benchmark] = []
        for document in await cluster.benchmark_documents(self._served.namespaces) if is_served else ():
            # There may be thousands: let other tasks run in between.
            await asyncio.sleep(0)
            try:
                found.append(self._cache.unchanged(document["metadata"]) or benchmark_in(document))
            except Unreadable as error:
                # Its pass reports it, once for each version.
                if not self._cache.is_unreadable(error.metadata):
                    self._queue.add(Key(error.metadata.namespace, error.metadata.name))
        self._cache.replace(found)
        self._concurrency.mark_listed()
        for benchmark in found:
            if self._cache.needs_pass(benchmark):
                self._queue.add(key_of(benchmark))
        # A restart cannot bring the CRD, so a missing CRD must not fail the liveness probe; the metric shows it.
        self._liveness.last_list = time.monotonic()
        if is_served:
            self.series.last_list.set_to_current_time()

    def _warn_once(self, warning: str) -> None:
        if warning != self._last_warning:
            log.warning("%s", warning or "everything that was missing is back")
        self._last_warning = warning

    def _enqueue(self, key: Key) -> None:
        self.series.last_event.set_to_current_time()
        self._queue.add(key)

    async def _pass(self, cluster: Cluster, key: Key) -> None:
        found = await reconcile(cluster, self._defaults, key, self._concurrency)
        if found.benchmark is None:
            self._cache.drop(key)
        else:
            self._cache.put(found.benchmark)
        if found.conflict:
            # Requeue at once, but whoever changes a Benchmark all the time must not keep the workers busy all the time.
            if not self._queue.requeue_conflict(key, CONFLICT_SECONDS):
                self._retry(key, Conflict("another client changes it during each pass, or the API server is slow"))
            return
        self._queue.done(key)
        if found.requeue_after is not None:
            self._queue.add(key, found.requeue_after.total_seconds())

    async def _skip_unreadable(self, cluster: Cluster, key: Key, error: Unreadable) -> None:
        """Leaves alone a Benchmark that it cannot fully read, until the Benchmark or the operator changes."""
        if not self._cache.is_unreadable(error.metadata):
            self._cache.mark_unreadable(error.metadata)
            self.series.pass_failed(error)
            log.warning("%s/%s is left alone: %s", *key, error)
            await cluster.post_events(error.metadata, (Event(True, "Unreadable", f"It is left alone: {error}"),))
        self._queue.done(key)

    def _retry(self, key: Key, error: Exception) -> None:
        if isinstance(error, Forbidden) and key.namespace in self._served.unreadable:
            # The namespace was logged, and everything in it is listed once it is readable again.
            self._cache.drop(key)
            self._queue.done(key)
            return
        delay = self._queue.add_rate_limited(key, retry_after(error))
        self.series.pass_failed(error)
        log.warning("%s/%s: the pass failed; retrying in %.1f s: %s", *key, delay, error)


def _log_namespaces(before: Served, now: Served) -> None:
    """Logs once for each namespace that it cannot be read any more, and once that it can be again."""
    for namespace in now.unreadable.keys() - before.unreadable.keys():
        log.warning(
            "%s: nothing may be read there, so its Benchmarks are left alone. If the namespace is gone, remove it from "
            "watchNamespaces; if not, bind the operator's Role in it again. The others are served. %s",
            *(namespace, now.unreadable[namespace]),
        )
    for namespace in before.unreadable.keys() - now.unreadable.keys():
        log.warning("%s: its Benchmarks may be read again", namespace)
