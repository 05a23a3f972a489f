"""At which moment does the operator die? A proxy before the API server that kills it at a named point, once.

The product knows nothing of it: the points are requests, just before they reach the API server or just after.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from cluster.harness.ports import free_ports

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "keep-alive"}


@dataclass(frozen=True)
class Crash:
    """A named point: which request, and whether the operator dies before or after the API server has it."""

    name: str
    method: str
    path: str
    after: bool
    says: str = ""
    """Something that must stand in the body."""

    def meets(self, method: str, path: str, body: str) -> bool:
        return method == self.method and self.path in path and self.says in body


CRASHES = (
    Crash("before-post-job", "POST", "/pytorchjobs", after=False),
    Crash("after-post-job", "POST", "/pytorchjobs", after=True),
    Crash("before-store-report", "PUT", "/status", after=False, says='"measurement"'),
    Crash("after-store-report", "PUT", "/status", after=True, says='"measurement"'),
    Crash("during-teardown", "DELETE", "/pytorchjobs/", after=True),
)


class KillingProxy:
    """A context manager: inside, `kubeconfig` leads through the proxy, which calls `kill` at the point."""

    def __init__(self, kubeconfig: Path, crash: Crash, kill: Callable[[], None]) -> None:
        document = json.loads(kubeconfig.read_text())
        (port,) = free_ports(1)
        cluster = document["clusters"][0]["cluster"]
        self._server, self._authority = cluster["server"], cluster["certificate-authority-data"]
        document["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        self.kubeconfig = kubeconfig.with_name(f"{crash.name}-{port}.kubeconfig")
        self.kubeconfig.write_text(json.dumps(document))
        self._port, self._crash, self._kill = port, crash, kill
        self.killed = threading.Event()
        self._ready = threading.Event()
        self._trust = ssl.create_default_context(cadata=base64.b64decode(self._authority).decode())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._forwarded)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout()) as self._session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._ready.set()
            await self._over.wait()
            await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _forwarded(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        hit = not self.killed.is_set() and self._crash.meets(request.method, request.path, body.decode())
        if hit and not self._crash.after:
            self._die()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = self._server + request.raw_path
        async with self._session.request(
            request.method, url, data=body or None, headers=headers, ssl=self._trust
        ) as upstream:
            if hit:
                await upstream.read()
                self._die()
            return await _streamed(request, upstream)

    def _die(self) -> None:
        self.killed.set()
        self._kill()
        raise web.HTTPServiceUnavailable


async def _streamed(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    """The response as it comes: a watch never ends by itself."""
    headers = {name: value for name, value in upstream.headers.items() if name.lower() not in HOP_BY_HOP}
    if encoding := upstream.headers.get("Content-Encoding"):
        headers["Content-Encoding"] = encoding
    response = web.StreamResponse(status=upstream.status, headers=headers)
    # Whoever asked may have died, or the API server may end a watch.
    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response
