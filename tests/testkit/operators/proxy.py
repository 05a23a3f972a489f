"""Provides a proxy between an operator and the API server that passes everything on except for armed faults.

    operator ──► FaultProxy ──► API server
                   │ armed faults: which requests (Where), what happens to them (fault_kinds.py), how often

The operator only gets another kubeconfig. The first armed fault that matches a request applies to it; every armed
change that matches a watch applies to its lines.
"""

import asyncio
import base64
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "keep-alive"}
PATH = re.compile(
    r"^/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<part>[^/]+))?)?$"
)
WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
BATCH_SECONDS = 0.3
"""How long a watch's lines are collected while a change is armed, so that it can reorder them."""

Event = dict[str, Any]
Change = Callable[[list[Event]], list[Event]]
"""Maps the lines of a watch that arrived together to those that the operator gets."""


@dataclass(frozen=True)
class Request:
    """A request of the operator in RBAC's terms."""

    verb: str
    resource: str
    """The resource, such as pods or stablediffusionbenchmarks/status."""
    name: str
    query: str
    """The decoded query string."""
    body: bytes

    @property
    def writes(self) -> bool:
        return self.verb in WRITES.values()

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


@dataclass(frozen=True)
class Where:
    """A condition on requests; an empty field matches all."""

    verbs: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    body: str = ""
    """Text that the body must contain."""
    query: re.Pattern[str] = re.compile("")
    """A pattern that the query must contain."""

    def matches(self, request: Request) -> bool:
        fits_verb = not self.verbs or request.verb in self.verbs
        fits_resource = not self.resources or request.resource in self.resources
        fits_query = self.query.search(request.query) is not None
        return fits_verb and fits_resource and fits_query and self.body.encode() in request.body


def where(verbs: str = "", resources: str = "", body: str = "", query: str = "") -> Where:
    """A Where for verbs and resources, each separated by spaces; `query` is a regular expression."""
    return Where(frozenset(verbs.split()), frozenset(resources.split()), body, re.compile(query))


@dataclass
class Exchange:
    """One request in transit, with what a fault may read and do."""

    proxy: "FaultProxy"
    request: Request
    incoming: web.Request

    async def forward(self) -> web.StreamResponse:
        """The API server's response, streamed."""
        return await self.proxy.forward(self)

    async def complete(self) -> tuple[int, bytes]:
        """Sends the request to the API server and withholds the response; returns its status and body."""
        async with self.proxy.sent(self) as upstream:
            return upstream.status, await upstream.read()

    def reset(self) -> web.StreamResponse:
        """Resets the connection instead of responding."""
        if self.incoming.transport is not None:
            self.incoming.transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
"""Responds to a request in the API server's place."""


@dataclass
class Armed:
    """A fault in a proxy, or in several."""

    where: Where
    fault: Fault | None = None
    change: Change | None = None
    times: int | None = None
    """How many requests it applies to; None means all."""
    skip: int = 0
    """How many matching requests pass before the first that it applies to."""
    hits: int = 0
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    def disarm(self) -> None:
        self.times = self.hits

    @property
    def live(self) -> bool:
        return self.times is None or self.hits < self.times

    def matches(self, request: Request) -> bool:
        """Whether it applies to this request; counts the request as a hit if so."""
        if not self.live or not self.where.matches(request):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        self.hit.set()
        return True


class FaultProxy:
    """An asynchronous context manager: inside, `kubeconfig` leads through the proxy."""

    def __init__(self, kubeconfig: Path, copy: Path) -> None:
        self._document = json.loads(kubeconfig.read_text())
        cluster = self._document["clusters"][0]["cluster"]
        self._server, authority = cluster["server"], cluster["certificate-authority-data"]
        self._trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
        self._watches: dict[web.StreamResponse, tuple[Request, asyncio.Task[Any]]] = {}
        self.kubeconfig = copy
        self.armed: list[Armed] = []
        self.observers: list[Callable[[Exchange], Awaitable[None]]] = []
        """Called with every request before any fault applies."""
        self.seen: list[Request] = []
        """Every request, in order of arrival."""
        self.accepted: list[Request] = []
        """The writes that the API server has accepted."""
        self.answered: list[Request] = []
        """The requests of `seen` that have got their response or fault."""

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        connector = aiohttp.TCPConnector(ssl=self._trust, limit=0)
        self._session = aiohttp.ClientSession(
            auto_decompress=False, timeout=timeout, connector=connector, read_bufsize=2**24
        )
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self._document["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        self.kubeconfig.write_text(json.dumps(self._document))
        return self

    async def __aexit__(self, *_: object) -> None:
        for watching in [task for *_, task in self._watches.values()]:
            watching.cancel()
        await self._runner.cleanup()
        await self._session.close()

    def arm(self, where: Where, fault: Fault, times: int | None = None) -> Armed:
        """Applies the fault to the next `times` matching requests, or to all."""
        self.armed.append(Armed(where, fault=fault, times=times))
        return self.armed[-1]

    def arm_watches(self, where: Where, change: Change) -> Armed:
        """Changes the lines of these watches from now on, including those that are open."""
        self.armed.append(Armed(where, change=change))
        return self.armed[-1]

    async def end_watches(self, where: Where, last: Event | None = None) -> int:
        """Ends the matching open watches, after a last line or abruptly; returns how many."""
        ended = 0
        for response, (request, task) in list(self._watches.items()):
            if where.matches(request):
                ended += 1
                if last is not None:
                    await response.write(_line(last))
                    await response.write_eof()
                task.cancel()
        return ended

    def writes(self) -> list[Request]:
        return [request for request in self.seen if request.writes]

    @contextlib.asynccontextmanager
    async def sent(self, exchange: Exchange) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends the request to the API server; inside the block its response can be read."""
        incoming = exchange.incoming
        headers = {name: value for name, value in incoming.headers.items() if name.lower() not in HOP_BY_HOP}
        body = exchange.request.body or None
        url = self._server + incoming.raw_path
        async with self._session.request(incoming.method, url, data=body, headers=headers) as upstream:
            if exchange.request.writes and upstream.status < 300:
                self.accepted.append(exchange.request)
            yield upstream

    async def forward(self, exchange: Exchange) -> web.StreamResponse:
        """The API server's response, streamed."""
        # The operator may have died, or the API server may end a watch or be down.
        try:
            async with self.sent(exchange) as upstream:
                response = web.StreamResponse(status=upstream.status, headers=_headers(upstream))
                if exchange.request.verb != "watch":
                    return web.Response(status=upstream.status, headers=response.headers, body=await upstream.read())
                await response.prepare(exchange.incoming)
                await self._stream_watch(exchange.request, upstream, response)
                return response
        except (ConnectionError, aiohttp.ClientError):
            return exchange.reset()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = _request(incoming, await incoming.read())
        self.seen.append(request)
        try:
            return await self._respond(Exchange(self, request, incoming))
        finally:
            self.answered.append(request)

    async def _respond(self, exchange: Exchange) -> web.StreamResponse:
        for look in self.observers:
            await look(exchange)
        for armed in self.armed:
            if armed.fault is not None and armed.matches(exchange.request):
                return await armed.fault(exchange)
        return await self.forward(exchange)

    async def _stream_watch(
        self, request: Request, upstream: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._watches[response] = request, task
        try:
            async for events in self._batches(request, upstream):
                for event in events:
                    await response.write(_line(event))
            await response.write_eof()
        finally:
            del self._watches[response]

    async def _batches(self, request: Request, upstream: aiohttp.ClientResponse) -> AsyncIterator[list[Event]]:
        """The lines of a watch as they arrive, or collected and changed while a change is armed."""
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        reading = asyncio.create_task(_read(upstream, lines))
        try:
            while line := await lines.get():
                events = [json.loads(line)]
                if self._changes(request):
                    await asyncio.sleep(BATCH_SECONDS)
                    events += [json.loads(lines.get_nowait()) for _ in range(lines.qsize() - reading.done())]
                for armed in self._changes(request):
                    events = armed.change(events) if armed.matches(request) and armed.change is not None else events
                yield events
        finally:
            reading.cancel()

    def _changes(self, request: Request) -> list[Armed]:
        return [one for one in self.armed if one.live and one.change is not None and one.where.matches(request)]


def _request(incoming: web.Request, body: bytes) -> Request:
    found = PATH.match(incoming.path)
    plural, name, part = found.group("plural", "name", "part") if found is not None else (incoming.path, None, None)
    read = "get" if name else "watch" if incoming.query.get("watch") == "true" else "list"
    resource = f"{plural}/{part}" if part else plural
    return Request(WRITES.get(incoming.method, read), resource, name or "", incoming.query_string, body)


async def _read(upstream: aiohttp.ClientResponse, lines: asyncio.Queue[bytes]) -> None:
    """Queues every line of a watch, and an empty one at its end."""
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        while line := await upstream.content.readline():
            lines.put_nowait(line)
    lines.put_nowait(b"")


def _headers(upstream: aiohttp.ClientResponse) -> dict[str, str]:
    headers = {name: value for name, value in upstream.headers.items() if name.lower() not in HOP_BY_HOP}
    if encoding := upstream.headers.get("Content-Encoding"):
        headers["Content-Encoding"] = encoding
    return headers


def _line(event: Event) -> bytes:
    return json.dumps(event).encode() + b"\n"
