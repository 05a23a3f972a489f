"""Reads from the cluster and writes to it: the only module that sends requests to the API server."""

import logging
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
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
    """Names a Benchmark."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Served:
    """What the cluster serves to this operator."""

    plurals: frozenset[str] = frozenset()
    """Which of Benchmarks and PyTorchJobs the cluster knows."""
    namespaces: tuple[str, ...] = ()
    """The readable ones of the operator's namespaces; empty: it serves all namespaces."""
    unreadable: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The other ones, each with the API server's sentence: it was deleted, or the operator has no rights there."""


class Cluster:
    """Typed calls. Each may raise ApiError, except those about Events: a pass goes on without them.

    `on_skipped` is called with each error of a read that a pass goes on without.
    """

    def __init__(self, transport: Transport, on_skipped: Callable[[ApiError], None] = lambda _: None) -> None:
        self._transport, self._on_skipped = transport, on_skipped
        self._without_events: set[str] = set()
        """Namespaces whose Events could not be read the last time."""

    def now(self) -> datetime:
        """The API server's time. Raises LookupError before the first answer."""
        return self._transport.now()

    async def benchmark(self, key: Key) -> Benchmark:
        """Reads a Benchmark. Raises NotFound and Unreadable."""
        return benchmark_in(await self._transport.send(requests.READ_BENCHMARK, key._asdict()))

    async def benchmark_documents(self, namespaces: tuple[str, ...]) -> tuple[Document, ...]:
        """Lists the Benchmarks in these namespaces; empty: in all."""
        if not namespaces:
            return await self._listed(requests.LIST_ALL_BENCHMARKS, {})
        found = [await self._listed(requests.LIST_BENCHMARKS, {"namespace": namespace}) for namespace in namespaces]
        return tuple(document for some in found for document in some)

    async def served(self, namespaces: tuple[str, ...]) -> Served:
        """Asks what is served in these namespaces; empty: in all. Raises Forbidden if none of them can be read."""
        if not namespaces:
            asked = {PLURAL: requests.LIST_ALL_BENCHMARKS, requests.JOBS: requests.LIST_ALL_JOBS}
            return Served(await self._answering(asked, {}))
        asked = {PLURAL: requests.LIST_BENCHMARKS, requests.JOBS: requests.LIST_JOBS}
        known: frozenset[str] = frozenset()
        refusals: dict[str, Forbidden] = {}
        for namespace in namespaces:
            # Without rights, a namespace that exists and one that is gone look the same.
            try:
                known |= await self._answering(asked, {"namespace": namespace})
            except Forbidden as error:
                refusals[namespace] = error
        readable = tuple(namespace for namespace in namespaces if namespace not in refusals)
        if not readable:
            raise refusals[namespaces[0]]
        return Served(known, readable, {namespace: str(error) for namespace, error in refusals.items()})

    async def store(self, benchmark: Benchmark, status: Status) -> Benchmark:
        """Replaces the whole status. Raises Conflict if the Benchmark has changed since it was read."""
        metadata = benchmark.metadata
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            # The API server refuses the write if the resourceVersion or the UID is another one by now.
            "metadata": _identity(metadata),
            "status": status.document(),
        }
        stored = await self._transport.send(requests.PUT_STATUS, key_of(benchmark)._asdict(), body=body)
        version = stored["metadata"]["resourceVersion"]
        known = metadata.model_copy(update={"resource_version": version})
        return benchmark.model_copy(update={"metadata": known, "status": status})

    async def jobs(self, key: Key) -> tuple[Document, ...]:
        """Lists the jobs of Benchmarks of this name, whatever their UID. Raises NotServed."""
        return await self._listed(requests.LIST_JOBS, {"namespace": key.namespace}, _of(key))

    async def job(self, namespace: str, name: str) -> Document | None:
        """Reads the job of this name, whoever owns it; None if there is none."""
        try:
            return await self._transport.send(requests.READ_JOB, {"namespace": namespace, "name": name})
        except NotFound:
            return None

    async def create_job(self, namespace: str, job: Document) -> None:
        """Creates a job. Raises AlreadyExists."""
        await self._transport.send(requests.POST_JOB, {"namespace": namespace}, body=job)

    async def delete_job(self, namespace: str, delete: DeleteJob) -> None:
        """Deletes this very job; its pods follow. Does nothing if it is gone, or another one has its name."""
        await self._delete(requests.DELETE_JOB, Key(namespace, delete.name), delete.job_uid, "Background")

    async def delete_benchmark(self, key: Key, uid: str) -> bool:
        """Deletes this very Benchmark, which is gone when its jobs and pods are.

        Returns False if the API server says that it does not exist, or that another one has its name.
        """
        return await self._delete(requests.DELETE_BENCHMARK, key, uid, "Foreground")

    async def pods(self, key: Key) -> tuple[Document, ...]:
        """Lists the pods of Benchmarks of this name, whatever their UID."""
        return await self._listed(requests.LIST_PODS, {"namespace": key.namespace}, _of(key))

    async def warnings(self, namespace: str, uids: Iterable[str]) -> tuple[tuple[Document, ...], ...]:
        """Lists the warning Events about each of these objects; logs once for a namespace where it cannot."""
        found: list[tuple[Document, ...]] = []
        try:
            for uid in uids:
                query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
                found.append(await self._listed(requests.LIST_EVENTS, {"namespace": namespace}, query))
        except ApiError as error:
            self._on_skipped(error)
            if namespace not in self._without_events:
                log.warning("%s: no Events can be read, so none explains what is stuck: %s", namespace, error)
            self._without_events.add(namespace)
        else:
            self._without_events.discard(namespace)
        return tuple(found)

    async def post_events(self, about: Metadata, events: Iterable[Event]) -> None:
        """Creates Events of a Benchmark; logs each one that cannot be created."""
        for event in events:
            body = _event(about, event, self.now())
            try:
                await self._transport.send(requests.POST_EVENT, {"namespace": about.namespace}, body=body)
            except AlreadyExists:
                continue
            except ApiError as error:
                log.warning("%s/%s: no Event could be written: %s", about.namespace, about.name, error)

    async def _delete(self, call: requests.Call, key: Key, uid: str, propagation: str) -> bool:
        """Deletes the object with this UID; returns False if it is gone, or another one has its name."""
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
        """Lists all items, page by page. Raises NotServed if the cluster does not know the kind."""
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
        """The plurals that the cluster serves, each asked by its list call."""
        served = set()
        for plural, call in asked.items():
            with suppress(NotFound):
                await self._transport.send(call, path, {"limit": "1"})
                served.add(plural)
        return frozenset(served)


def key_of(benchmark: Benchmark) -> Key:
    """The Benchmark's namespace and name."""
    return Key(benchmark.metadata.namespace, benchmark.metadata.name)


def benchmark_in(document: Document) -> Benchmark:
    """Parses an API object. Raises Unreadable."""
    try:
        return Benchmark.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        sentence = f"version {sdbench.__version__} of the operator cannot read {where}: {first['msg']}"
        raise Unreadable(sentence, Metadata.model_validate(document["metadata"])) from error


def _of(key: Key) -> dict[str, str]:
    return {"labelSelector": f"{BENCHMARK_LABEL}={key.name}"}


def _identity(metadata: Metadata) -> dict[str, str]:
    return metadata.model_dump(by_alias=True, include={"name", "namespace", "uid", "resource_version"})


def _event(metadata: Metadata, event: Event, now: datetime) -> Document:
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    # The same for the same Event of an unchanged Benchmark, so what is retried again and again is reported once.
    content = (metadata.uid, metadata.resource_version, event.reason, event.message)
    fingerprint = f"{zlib.crc32(repr(content).encode()):08x}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata.name}.{fingerprint}", "namespace": metadata.namespace},
        "involvedObject": {"apiVersion": API_VERSION, "kind": KIND, **_identity(metadata)},
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message[:1024],
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": "",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
