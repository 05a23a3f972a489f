"""Runs the operator: watches fill a queue, workers make passes, and a clock lists everything from time to time.

kopf watches ──┐          (watch/kopf_runner.py)
look_again ────┼─► WorkQueue ─► workers ─► reconcile ─► Board ─► /metrics
list of all ───┘
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import sdbench
from sdbench.api.benchmark import Benchmark
from sdbench.api.names import PLURAL
from sdbench.api.spec_scheduling import Preset
from sdbench.api.workload import Workload
from sdbench.controller.apiserver.client import Document, connected
from sdbench.controller.apiserver.cluster import Cluster, Key, Served, benchmark_in, key_of
from sdbench.controller.apiserver.errors import ApiError, Conflict, Forbidden, Unreadable, patience
from sdbench.controller.apiserver.requests import JOBS
from sdbench.controller.cache import BenchmarkCache
from sdbench.controller.concurrency import ConcurrencyGate
from sdbench.controller.liveness import Liveness
from sdbench.controller.metrics.collector import OperatorSeries
from sdbench.controller.metrics.server import served
from sdbench.controller.reconcile import reconcile
from sdbench.controller.watch.kopf_runner import Watching
from sdbench.controller.workqueue import WorkQueue
from sdbench.core.snapshot import Bounds, Defaults, Event

WORKERS = 8
PROBE_SECONDS = 10.0
"""How often it is asked what the cluster serves."""

RESYNC_SECONDS = 45.0
"""How often everything is listed."""

RETRY_SECONDS = 5.0
AT_ONCE_SECONDS = 0.05
LAG_SECONDS = 1.0

BROUGHT_BY = {
    PLURAL: "the cluster knows no StableDiffusionBenchmarks: apply the chart's CRD",
    JOBS: "the cluster knows no PyTorchJobs: install the Kubeflow training-operator",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How an operator is told to run."""

    default_image: str
    namespaces: tuple[str, ...] = ()
    """Whose Benchmarks are run; empty: all."""
    port: int = 8080
    bounds: Bounds = field(default_factory=Bounds)
    presets: Mapping[str, Preset] = field(default_factory=dict)
    workload: Workload | None = None


def run_operator(options: Options) -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # kopf says for every event that it was handled.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    asyncio.run(_operate(options))


async def _operate(options: Options) -> None:
    operator = Operator(options)
    async with connected(operator.series.request_sent) as transport:
        cluster = Cluster(transport, operator.series.pass_failed)
        async with served(options.port, operator.series.registry, operator.complaint), asyncio.TaskGroup() as tasks:
            own = [tasks.create_task(operator.resync(cluster)), tasks.create_task(operator.feel_lag())]
            own += [tasks.create_task(operator.work(cluster)) for _ in range(WORKERS)]
            await operator.watch(cluster)
            for task in own:
                task.cancel()


class Operator:
    """The queue and what is known of it; its coroutines run side by side."""

    def __init__(self, options: Options) -> None:
        now = time.monotonic()
        self._options = options
        self._defaults = Defaults(
            options.default_image, sdbench.__version__, options.bounds, options.presets, options.workload
        )
        self._queue: WorkQueue[Key] = WorkQueue(time.monotonic)
        self._board = BenchmarkCache()
        self._neighbours = ConcurrencyGate(self._board)
        self._pulse = Liveness(last_pass=now, next_try=now, last_list=now)
        self._known = Served()
        self._away = False
        self._trouble = ""
        self.series = OperatorSeries(self._board.benchmarks, self._queue.depth)
        self._watching = Watching(self._seen, self.series.watch_failures.inc)

    def complaint(self) -> str:
        """What is wrong; empty while all is well."""
        return self._pulse.complaint(time.monotonic(), self._queue.overdue())

    async def watch(self, cluster: Cluster) -> None:
        """Watch until a signal comes."""
        await self._watching.until_told_to_end(lambda: cluster.served(self._options.namespaces))

    async def work(self, cluster: Cluster) -> None:
        """Make one pass after the other, for ever."""
        while True:
            key = await self._queue.take()
            started = time.monotonic()
            try:
                await self._pass(cluster, key)
            except Unreadable as error:
                await self._left_alone(cluster, key, error)
            except ApiError as error:
                self._failed(key, error)
            except Exception as error:
                # A bug that one Benchmark brings to light must not keep the others from being run.
                log.exception("%s/%s: a bug in this version of the operator", *key)
                self._failed(key, error)
            finally:
                self._pulse.last_pass = time.monotonic()
                self.series.duration.observe(self._pulse.last_pass - started)

    async def resync(self, cluster: Cluster) -> None:
        """List everything from time to time: what a watch has missed is found, what is gone is forgotten."""
        while True:
            try:
                await self._look_round(cluster)
                wait = PROBE_SECONDS
            except ApiError as error:
                self._away = True
                wait = patience(error, RETRY_SECONDS)
                self._say(f"the API server is no help, asked again every {wait:.0f} s: {error}")
            except Exception:
                log.exception("a bug in this version of the operator")
                wait = RESYNC_SECONDS
            self._pulse.next_try = time.monotonic() + wait
            await asyncio.sleep(wait)

    async def feel_lag(self) -> None:
        """Measure how late this loop is: whatever blocks it keeps everything from being looked at."""
        while True:
            due = time.monotonic() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.series.lag.set(max(0.0, time.monotonic() - due))

    async def _look_round(self, cluster: Cluster) -> None:
        """See what is served, and list everything when that has changed, after an outage, and when it is time."""
        known = await cluster.served(self._options.namespaces)
        self._watching.compare(known)
        self._say(_lacking(known.plurals))
        _tell_of_namespaces(self._known, known)
        changed, self._known = known != self._known, known
        if self._away:
            self._queue.forgive()
        if changed or self._away or time.monotonic() - self._pulse.last_list >= RESYNC_SECONDS:
            await self._list(cluster)
        self._away = False

    async def _list(self, cluster: Cluster) -> None:
        """Compare what is known of the Benchmarks with all of them."""
        self._board.listing()
        served = PLURAL in self._known.plurals
        documents = await cluster.benchmark_documents(self._known.namespaces) if served else ()
        found = [read async for read in self._read(documents)]
        self._board.replace(found)
        self._neighbours.listed()
        for benchmark in found:
            if self._board.worth_a_look(benchmark):
                self._queue.add(key_of(benchmark))
        # A restart brings no CRD, so its absence is no illness; but it is told that nothing was listed.
        self._pulse.last_list = time.monotonic()
        if served:
            self.series.last_list.set_to_current_time()

    async def _read(self, documents: tuple[Document, ...]) -> AsyncIterator[Benchmark]:
        """The Benchmarks; one that cannot be read gets a pass, which tells it. There may be thousands: others go on."""
        for document in documents:
            await asyncio.sleep(0)
            try:
                yield self._board.unchanged(document["metadata"]) or benchmark_in(document)
            except Unreadable as error:
                if not self._board.left_alone(error.metadata):
                    self._queue.add(Key(error.metadata.namespace, error.metadata.name))

    def _say(self, trouble: str) -> None:
        """Tell what keeps Benchmarks from being run, once."""
        if trouble != self._trouble:
            log.warning("%s", trouble or "what was missing is there again")
        self._trouble = trouble

    def _seen(self, key: Key) -> None:
        self.series.last_event.set_to_current_time()
        self._queue.add(key)

    async def _pass(self, cluster: Cluster, key: Key) -> None:
        found = await reconcile(cluster, self._defaults, key, self._neighbours)
        if found.benchmark is None:
            self._board.drop(key)
        else:
            self._board.put(found.benchmark)
        if found.overtaken:
            self._overtaken(key)
            return
        self._queue.done(key)
        if found.requeue_after is not None:
            self._queue.add(key, found.requeue_after.total_seconds())

    def _overtaken(self, key: Key) -> None:
        """Look again at once; but whoever changes a Benchmark for ever must not keep us busy for ever."""
        if not self._queue.overtaken(key, AT_ONCE_SECONDS):
            self._failed(key, Conflict("somebody else changes it during each pass, or the API server is slow"))

    async def _left_alone(self, cluster: Cluster, key: Key, error: Unreadable) -> None:
        """Nothing is done for a Benchmark of which not everything is understood, until it or the operator changes."""
        if not self._board.left_alone(error.metadata):
            self._board.leave_alone(error.metadata)
            self.series.pass_failed(error)
            log.warning("%s/%s is left alone: %s", *key, error)
            await cluster.tell(error.metadata, (Event(True, "Unreadable", f"It is left alone: {error}"),))
        self._queue.done(key)

    def _failed(self, key: Key, error: Exception) -> None:
        if isinstance(error, Forbidden) and key.namespace in self._known.closed:
            # It was told of the namespace, and everything in it is looked at when that is open again.
            self._board.drop(key)
            self._queue.done(key)
            return
        delay = self._queue.failed(key, patience(error))
        self.series.pass_failed(error)
        log.warning("%s/%s: the pass failed, next try in %.1f s: %s", *key, delay, error)


def _lacking(known: frozenset[str]) -> str:
    """What the cluster does not serve yet, and who would bring it."""
    missing = [sentence for plural, sentence in BROUGHT_BY.items() if plural not in known]
    return "; ".join(missing)


def _tell_of_namespaces(before: Served, now: Served) -> None:
    """Say of each namespace, once, that it cannot be read any more, and that it can be again."""
    for namespace in now.closed.keys() - before.closed.keys():
        log.warning(
            "%s: nothing may be read there, so its Benchmarks are left alone. If the namespace is gone, take it out of "
            "watchNamespaces; if not, bind the operator's Role in it again. The others are served. %s",
            *(namespace, now.closed[namespace]),
        )
    for namespace in before.closed.keys() - now.closed.keys():
        log.warning("%s: its Benchmarks may be read again", namespace)
