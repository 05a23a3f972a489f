"""Reads from the cluster and writes to it: the only module that makes requests of the API server."""

import logging
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

import sdbench
from sdbench.api.benchmark import Benchmark, Metadata
from sdbench.api.names import API_VERSION, BENCHMARK_LABEL, GROUP, KIND, PLURAL
from sdbench.api.status import Status
from sdbench.controller.apiserver import requests
from sdbench.controller.apiserver.client import Document, Transport
from sdbench.controller.apiserver.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    NotServed,
    Unreadable,
)
from sdbench.core.snapshot import DeleteJob, Event

REPORTER = f"{GROUP}/operator"
PAGE = "500"

log = logging.getLogger(__name__)


class Key(NamedTuple):
    """Which Benchmark."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Served:
    """What there is to look at."""

    plurals: frozenset[str] = frozenset()
    """Which of Benchmarks and PyTorchJobs the cluster knows."""
    namespaces: tuple[str, ...] = ()
    """Where they may be read, of those that we are for; none: everywhere."""
    closed: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What the API server says of the others: a namespace that was deleted, or in which we have no right any more."""


class Cluster:
    """The typed calls. Each may raise ApiError, but for those about Events: a pass does without them.

    `did_without` is told of each time that a pass has to do without what it wanted to read.
    """

    def __init__(self, transport: Transport, did_without: Callable[[ApiError], None] = lambda _: None) -> None:
        self._transport, self._did_without = transport, did_without
        self._unheard: set[str] = set()
        """Namespaces whose Events could not be read when that was last tried."""

    def now(self) -> datetime:
        """The API server's time; at least one call must have been made."""
        return self._transport.now()

    async def benchmark(self, key: Key) -> Benchmark:
        """The Benchmark as it is now. Raises NotFound and Unreadable."""
        return benchmark_in(await self._transport.send(requests.READ_BENCHMARK, key._asdict()))

    async def benchmark_documents(self, namespaces: tuple[str, ...]) -> tuple[Document, ...]:
        """All Benchmarks in these namespaces; in all when there are none."""
        if not namespaces:
            return await self._listed(requests.LIST_ALL_BENCHMARKS, {})
        found = [await self._listed(requests.LIST_BENCHMARKS, {"namespace": namespace}) for namespace in namespaces]
        return tuple(document for some in found for document in some)

    async def served(self, namespaces: tuple[str, ...]) -> Served:
        """What there is to look at in these namespaces; in all when there are none. Raises Forbidden if it is nothing.

        Without a right in it a namespace that is there and one that is gone look the same.
        """
        if not namespaces:
            asked = {PLURAL: requests.LIST_ALL_BENCHMARKS, requests.JOBS: requests.LIST_ALL_JOBS}
            return Served(await self._answering(asked, {}))
        asked = {PLURAL: requests.LIST_BENCHMARKS, requests.JOBS: requests.LIST_JOBS}
        known: frozenset[str] = frozenset()
        refusals: dict[str, Forbidden] = {}
        for namespace in namespaces:
            try:
                known |= await self._answering(asked, {"namespace": namespace})
            except Forbidden as error:
                refusals[namespace] = error
        open_ones = tuple(namespace for namespace in namespaces if namespace not in refusals)
        if not open_ones:
            raise refusals[namespaces[0]]
        return Served(known, open_ones, {namespace: str(error) for namespace, error in refusals.items()})

    async def store(self, benchmark: Benchmark, status: Status) -> Benchmark:
        """Put the whole status. Raises Conflict when the Benchmark is not the one that was read any more."""
        metadata = benchmark.metadata
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "status": status.document(),
        }
        stored = await self._transport.send(requests.PUT_STATUS, key_of(benchmark)._asdict(), body=body)
        version = stored["metadata"]["resourceVersion"]
        known = metadata.model_copy(update={"resource_version": version})
        return benchmark.model_copy(update={"metadata": known, "status": status})

    async def jobs(self, key: Key) -> tuple[Document, ...]:
        """The jobs of a Benchmark of this name, of any UID. Raises NotServed."""
        return await self._listed(requests.LIST_JOBS, {"namespace": key.namespace}, _of(key))

    async def job(self, namespace: str, name: str) -> Document | None:
        """The job of this name, whoever owns it."""
        try:
            return await self._transport.send(requests.READ_JOB, {"namespace": namespace, "name": name})
        except NotFound:
            return None

    async def create_job(self, namespace: str, job: Document) -> None:
        """Create a job. Raises AlreadyExists."""
        await self._transport.send(requests.POST_JOB, {"namespace": namespace}, body=job)

    async def delete_job(self, namespace: str, stop: DeleteJob) -> None:
        """Delete this very job; its pods follow. One that is gone, or another of its name, is left as it is."""
        await self._delete(requests.DELETE_JOB, Key(namespace, stop.name), stop.job_uid, "Background")

    async def delete_benchmark(self, key: Key, uid: str) -> bool:
        """Delete this very Benchmark, which is gone when its jobs and pods are. A namesake is left as it is.

        False if the API server says that it is not there, or that there is another one.
        """
        return await self._delete(requests.DELETE_BENCHMARK, key, uid, "Foreground")

    async def pods(self, key: Key) -> tuple[Document, ...]:
        """The pods of a Benchmark of this name, of any UID."""
        return await self._listed(requests.LIST_PODS, {"namespace": key.namespace}, _of(key))

    async def warnings(self, namespace: str, uids: Iterable[str]) -> tuple[tuple[Document, ...], ...]:
        """The warning Events about each of these objects; as far as they can be read, and it is said once if not."""
        found: list[tuple[Document, ...]] = []
        try:
            for uid in uids:
                query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
                found.append(await self._listed(requests.LIST_EVENTS, {"namespace": namespace}, query))
        except ApiError as error:
            self._did_without(error)
            if namespace not in self._unheard:
                log.warning("%s: no Events can be read, so none explains what is stuck: %s", namespace, error)
            self._unheard.add(namespace)
        else:
            self._unheard.discard(namespace)
        return tuple(found)

    async def tell(self, about: Metadata, events: Iterable[Event]) -> None:
        """Write notices among the Events of a Benchmark. One that cannot be written is no reason to stop."""
        for notice in events:
            body = _event(about, notice, self.now())
            try:
                await self._transport.send(requests.POST_EVENT, {"namespace": about.namespace}, body=body)
            except AlreadyExists:
                continue
            except ApiError as error:
                log.warning("%s/%s: no Event could be written: %s", about.namespace, about.name, error)

    async def _delete(self, call: requests.Call, key: Key, uid: str, propagation: str) -> bool:
        """Delete the object of this UID; one that is gone is no error, and another of its name is not touched.

        Whether there was such an object, as the API server says.
        """
        body: Document = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        }
        try:
            await self._transport.send(call, key._asdict(), body=body)
        except (NotFound, Conflict):
            return False
        return True

    async def _listed(
        self, call: requests.Call, path: dict[str, str], query: dict[str, str] | None = None
    ) -> tuple[Document, ...]:
        """Every item, page by page. Raises NotServed: a list of nothing is empty, not missing."""
        items: list[Document] = []
        more = ""
        while True:
            try:
                page = await self._transport.send(call, path, {"limit": PAGE, "continue": more, **(query or {})})
            except NotFound as error:
                raise NotServed(f"the cluster knows no {call.right.resource}: {error}") from error
            items.extend(page.get("items") or ())
            more = page.get("metadata", {}).get("continue", "")
            if not more:
                return tuple(items)

    async def _answering(self, asked: Mapping[str, requests.Call], path: dict[str, str]) -> frozenset[str]:
        """Those that the cluster knows."""
        return frozenset([plural for plural, call in asked.items() if await self._answers(call, path)])

    async def _answers(self, call: requests.Call, path: dict[str, str]) -> bool:
        try:
            await self._transport.send(call, path, {"limit": "1"})
        except NotFound:
            return False
        return True


def key_of(benchmark: Benchmark) -> Key:
    """The Benchmark's namespace and name."""
    return Key(benchmark.metadata.namespace, benchmark.metadata.name)


def benchmark_in(document: Document) -> Benchmark:
    """The Benchmark in an API object. Raises Unreadable."""
    try:
        return Benchmark.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        sentence = f"version {sdbench.__version__} of the operator cannot read {where}: {first['msg']}"
        raise Unreadable(sentence, Metadata.model_validate(document["metadata"])) from error


def _of(key: Key) -> dict[str, str]:
    return {"labelSelector": f"{BENCHMARK_LABEL}={key.name}"}


def _fingerprint(metadata: Metadata, notice: Event) -> str:
    """The same for the same notice of an unchanged Benchmark: what is tried again and again is told once."""
    said = (metadata.uid, metadata.resource_version, notice.reason, notice.message)
    return f"{zlib.crc32(repr(said).encode()):08x}"


def _event(metadata: Metadata, notice: Event, now: datetime) -> Document:
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata.name}.{_fingerprint(metadata, notice)}", "namespace": metadata.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "type": "Warning" if notice.warning else "Normal",
        "reason": notice.reason,
        "message": notice.message[:1024],
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": "",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
