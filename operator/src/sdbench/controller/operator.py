"""How does the operator run? Triggers fill a queue, workers make passes, a clock lists everything from time to time.

kopf watches ──┐
look_again ────┼─► WorkQueue ─► workers ─► reconcile ─► Board ─► /metrics
list of all ───┘
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import kopf
from pydantic import ValidationError

import sdbench
from sdbench.api.benchmark import Benchmark
from sdbench.api.scheduling import Preset
from sdbench.controller import triggers
from sdbench.controller.board import Board, settled
from sdbench.controller.cluster import Cluster, Key, key_of
from sdbench.controller.errors import ApiError, Unavailable
from sdbench.controller.health import Pulse
from sdbench.controller.metrics import OperatorSeries
from sdbench.controller.reconcile import reconcile
from sdbench.controller.server import served
from sdbench.controller.transport import Document, connected
from sdbench.controller.workqueue import WorkQueue
from sdbench.core.world import Bounds, Defaults

WORKERS = 8
RESYNC_SECONDS = 45.0
RETRY_SECONDS = 5.0

IDENTITY: Any = "sdbench"
"""Our name among kopf's peers, of which there are none. Without one kopf asks for the user's name, and dies where the
uid has none: in a container with any uid."""

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


def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # kopf says for every event that it was handled.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    asyncio.run(_operate(options))


async def _operate(options: Options) -> None:
    operator = Operator(options)
    async with connected(operator.series.request_sent) as transport:
        cluster = Cluster(transport)
        async with served(options.port, operator.series.registry, operator.complaint), asyncio.TaskGroup() as tasks:
            own = [tasks.create_task(operator.resync(cluster))]
            own += [tasks.create_task(operator.work(cluster)) for _ in range(WORKERS)]
            await operator.watch(cluster)
            for task in own:
                task.cancel()


class Operator:
    """The queue and what is known of it; its three coroutines run side by side."""

    def __init__(self, options: Options) -> None:
        now = time.monotonic()
        self._options = options
        self._defaults = Defaults(options.default_image, sdbench.__version__, options.bounds, options.presets)
        self._queue: WorkQueue[Key] = WorkQueue(time.monotonic)
        self._board = Board()
        self._pulse = Pulse(last_pass=now, last_list=now)
        self.series = OperatorSeries(self._board.benchmarks, self._queue.depth)

    def complaint(self) -> str:
        """What is wrong; empty while all is well."""
        return self._pulse.complaint(time.monotonic(), self._queue.overdue())

    async def watch(self, cluster: Cluster) -> None:
        """Let kopf watch until a signal comes."""
        await self._until_jobs_are_known(cluster)
        namespaces = self._options.namespaces
        await kopf.operator(
            registry=triggers.registry(self._seen),
            settings=triggers.settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            identity=IDENTITY,
        )

    async def work(self, cluster: Cluster) -> None:
        """Make one pass after the other, for ever."""
        while True:
            key = await self._queue.take()
            started = time.monotonic()
            try:
                await self._pass(cluster, key)
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
                found = _readable(await cluster.benchmark_documents(self._options.namespaces))
            except ApiError as error:
                log.warning("the benchmarks cannot be listed, next try in %.0f s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._pulse.last_list = time.monotonic()
            self._board.replace(found)
            for benchmark in found:
                if not settled(benchmark):
                    self._queue.add(key_of(benchmark))
            await asyncio.sleep(RESYNC_SECONDS)

    def _seen(self, key: Key) -> None:
        self.series.last_event.set_to_current_time()
        self._queue.add(key)

    async def _pass(self, cluster: Cluster, key: Key) -> None:
        found = await reconcile(cluster, self._defaults, key)
        if found.benchmark is None:
            self._board.drop(key)
        else:
            self._board.put(found.benchmark)
        self._queue.done(key)
        if found.look_again is not None:
            self._queue.add(key, found.look_again.total_seconds())

    def _failed(self, key: Key, error: Exception) -> None:
        retry_after = error.retry_after if isinstance(error, Unavailable) else None
        delay = self._queue.failed(key, retry_after or 0.0)
        self.series.errors.labels(type(error).__name__).inc()
        log.warning("%s/%s: the pass failed, next try in %.1f s: %s", *key, delay, error)

    async def _until_jobs_are_known(self, cluster: Cluster) -> None:
        """kopf watches what it finds at its start, so the training-operator's CRD must be there."""
        told = False
        while not await self._jobs_are_known(cluster):
            if not told:
                log.warning("the cluster knows no PyTorchJobs: install the Kubeflow training-operator")
            told = True
            await asyncio.sleep(RETRY_SECONDS)

    async def _jobs_are_known(self, cluster: Cluster) -> bool:
        try:
            return await cluster.serves_jobs(self._options.namespaces)
        except ApiError as error:
            log.warning("the API server cannot be asked for PyTorchJobs: %s", error)
            return False


def _readable(documents: tuple[Document, ...]) -> tuple[Benchmark, ...]:
    """The Benchmarks that this version understands; the others are told."""
    found = []
    for document in documents:
        try:
            found.append(Benchmark.model_validate(document))
        except ValidationError as error:
            metadata = document["metadata"]
            log.warning("%s/%s cannot be read: %s", metadata.get("namespace"), metadata["name"], error)
    return tuple(found)
