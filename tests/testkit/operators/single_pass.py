"""Makes one reconcile pass against the real API server, so that a test can act in its middle."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from sdbench.api.status import TrialRow
from sdbench.controller.apiserver.client import Document, Transport
from sdbench.controller.apiserver.cluster import Cluster, Key
from sdbench.controller.apiserver.errors import NotServed, Unavailable
from sdbench.controller.cache import BenchmarkCache
from sdbench.controller.concurrency import ConcurrencyGate
from sdbench.controller.reconcile import reconcile
from sdbench.core.snapshot import Defaults
from testkit.operators.operator_process import IMAGE

NAME = "tiny"


class InterruptibleCluster(Cluster):
    """A Cluster that calls `meanwhile` between listing jobs and listing their pods."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.meanwhile: Callable[[], None] = lambda: None

    async def jobs(self, key: Key) -> tuple[Document, ...]:
        found = await super().jobs(key)
        self.meanwhile()
        return found


@asynccontextmanager
async def interruptible_cluster(kubeconfig: Path, namespace: str) -> AsyncIterator[InterruptibleCluster]:
    """A connection with this kubeconfig, once PyTorchJobs can be listed, since their CRD may be new."""
    configuration = Configuration()
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    async with ApiClient(configuration) as client:
        cluster = InterruptibleCluster(Transport(client, lambda *_: None))
        async with asyncio.timeout(60):
            while not await _served(cluster, Key(namespace, NAME)):
                await asyncio.sleep(0.2)
        yield cluster


async def _served(cluster: Cluster, key: Key) -> bool:
    try:
        await cluster.jobs(key)
    except (Unavailable, NotServed):
        return False
    return True


async def row_after(cluster: Cluster, namespace: str) -> TrialRow:
    """The first Trial's row after one pass."""
    await reconcile(cluster, Defaults(IMAGE, "0"), Key(namespace, NAME), ConcurrencyGate(BenchmarkCache()))
    return await stored_row(cluster, namespace)


async def stored_row(cluster: Cluster, namespace: str) -> TrialRow:
    """The first Trial's row as it is stored."""
    return (await cluster.benchmark(Key(namespace, NAME))).status.trials[0]
