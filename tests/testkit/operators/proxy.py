"""Provides a proxy between an operator and the API server that passes everything on except for armed faults.

    operator ──► FaultProxy ──► API server
                   │ armed faults: which requests (Where), what happens to them (faults.py), how often

The product knows nothing of it. A request meets the first armed fault that fits it; the lines of a watch go through
all armed changes that fit it.
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
"""How long the lines of a watch are gathered while a change is armed: only then can they be reordered."""

Event = dict[str, Any]
Change = Callable[[list[Event]], list[Event]]
"""What becomes of the lines of a watch that came together."""


@dataclass(frozen=True)
class Request:
    """What the operator asks for, in the words of RBAC."""

    verb: str
    resource: str
    """Such as pods, or stablediffusionbenchmarks/status."""
    name: str
    query: str
    """As it was written behind the path, decoded."""
    body: bytes

    @property
    def writes(self) -> bool:
        return self.verb in WRITES.values()

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


@dataclass(frozen=True)
class Where:
    """Which requests; what is empty fits all."""

    verbs: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    says: str = ""
    """Something that must stand in the body."""
    asks: re.Pattern[str] = re.compile("")
    """Something that must be found in the query."""

    def meets(self, request: Request) -> bool:
        fits_verb = not self.verbs or request.verb in self.verbs
        fits_resource = not self.resources or request.resource in self.resources
        fits_query = self.asks.search(request.query) is not None
        return fits_verb and fits_resource and fits_query and self.says.encode() in request.body


def where(verbs: str = "", resources: str = "", says: str = "", asks: str = "") -> Where:
    """The requests of these verbs on these resources, each a list of words; `asks` is a regular expression."""
    return Where(frozenset(verbs.split()), frozenset(resources.split()), says, re.compile(asks))


@dataclass
class Exchange:
    """One request on its way: what a fault may look at and do."""

    proxy: "FaultProxy"
    request: Request
    incoming: web.Request

    async def passed_on(self) -> web.StreamResponse:
        """The API server's answer, as it comes."""
        return await self.proxy.passed_on(self)

    async def done(self) -> tuple[int, bytes]:
        """Have the API server do it, and keep the answer back: its status and its body."""
        async with self.proxy.sent(self) as upstream:
            return upstream.status, await upstream.read()

    def cut(self) -> web.StreamResponse:
        """No answer: the connection is reset."""
        if self.incoming.transport is not None:
            self.incoming.transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
"""What happens to a request."""


@dataclass
class Armed:
    """A fault in a proxy, or in several."""

    where: Where
    fault: Fault | None = None
    change: Change | None = None
    times: int | None = None
    """How often it happens; None: always."""
    spared: int = 0
    """How many requests pass before it happens first."""
    hits: int = 0
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    def disarm(self) -> None:
        self.times = self.hits

    @property
    def live(self) -> bool:
        return self.times is None or self.hits < self.times

    def meets(self, request: Request) -> bool:
        """Whether it happens to this request, which is counted."""
        if not self.live or not self.where.meets(request):
            return False
        if self.spared > 0:
            self.spared -= 1
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
        self.lookers: list[Callable[[Exchange], Awaitable[None]]] = []
        """Called with every request before anything happens to it."""
        self.seen: list[Request] = []
        """Every request, in the order in which they came."""
        self.taken: list[Request] = []
        """The writes that the API server has taken."""
        self.over: list[Request] = []
        """Those of `seen` that have had their answer, or their fault."""

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        connector = aiohttp.TCPConnector(ssl=self._trust, limit=0)
        self._session = aiohttp.ClientSession(
            auto_decompress=False, timeout=timeout, connector=connector, read_bufsize=2**24
        )
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._met)
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

    def arm(self, place: Where, fault: Fault, times: int | None = None) -> Armed:
        """From now on the fault happens to these requests, so often."""
        self.armed.append(Armed(place, fault=fault, times=times))
        return self.armed[-1]

    def arm_watches(self, place: Where, change: Change) -> Armed:
        """From now on the lines of these watches are changed, also of those that are open."""
        self.armed.append(Armed(place, change=change))
        return self.armed[-1]

    async def end_watches(self, place: Where, last: Event | None = None) -> int:
        """End the open watches of these resources: after a last line, or without a word. Says how many."""
        ended = 0
        for response, (request, task) in list(self._watches.items()):
            if place.meets(request):
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
        """The request at the API server; inside, its answer can be read."""
        incoming = exchange.incoming
        headers = {name: value for name, value in incoming.headers.items() if name.lower() not in HOP_BY_HOP}
        body = exchange.request.body or None
        url = self._server + incoming.raw_path
        async with self._session.request(incoming.method, url, data=body, headers=headers) as upstream:
            if exchange.request.writes and upstream.status < 300:
                self.taken.append(exchange.request)
            yield upstream

    async def passed_on(self, exchange: Exchange) -> web.StreamResponse:
        """The API server's answer, as it comes."""
        # Whoever asked may have died, or the API server may end a watch, or be gone.
        try:
            async with self.sent(exchange) as upstream:
                response = web.StreamResponse(status=upstream.status, headers=_headers(upstream))
                if exchange.request.verb != "watch":
                    return web.Response(status=upstream.status, headers=response.headers, body=await upstream.read())
                await response.prepare(exchange.incoming)
                await self._watched(exchange.request, upstream, response)
                return response
        except (ConnectionError, aiohttp.ClientError):
            return exchange.cut()

    async def _met(self, incoming: web.Request) -> web.StreamResponse:
        request = _request(incoming, await incoming.read())
        self.seen.append(request)
        try:
            return await self._answered(Exchange(self, request, incoming))
        finally:
            self.over.append(request)

    async def _answered(self, exchange: Exchange) -> web.StreamResponse:
        for look in self.lookers:
            await look(exchange)
        for armed in self.armed:
            if armed.fault is not None and armed.meets(exchange.request):
                return await armed.fault(exchange)
        return await self.passed_on(exchange)

    async def _watched(self, request: Request, upstream: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
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
        """The lines of a watch as they come, or gathered and changed while there is something to change."""
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        reading = asyncio.create_task(_read(upstream, lines))
        try:
            while line := await lines.get():
                events = [json.loads(line)]
                if self._changes(request):
                    await asyncio.sleep(BATCH_SECONDS)
                    events += [json.loads(lines.get_nowait()) for _ in range(lines.qsize() - reading.done())]
                for armed in self._changes(request):
                    events = armed.change(events) if armed.meets(request) and armed.change is not None else events
                yield events
        finally:
            reading.cancel()

    def _changes(self, request: Request) -> list[Armed]:
        return [one for one in self.armed if one.live and one.change is not None and one.where.meets(request)]


def _request(incoming: web.Request, body: bytes) -> Request:
    found = PATH.match(incoming.path)
    plural, name, part = found.group("plural", "name", "part") if found is not None else (incoming.path, None, None)
    read = "get" if name else "watch" if incoming.query.get("watch") == "true" else "list"
    resource = f"{plural}/{part}" if part else plural
    return Request(WRITES.get(incoming.method, read), resource, name or "", incoming.query_string, body)


async def _read(upstream: aiohttp.ClientResponse, lines: asyncio.Queue[bytes]) -> None:
    """Every line of a watch, and an empty one when it ends."""
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
