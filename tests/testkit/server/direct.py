"""Sends requests and watches to the API server as the cluster's administrator, without kubectl."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from harness.control_plane.components import ControlPlane

Document = dict[str, Any]
READY_TRIES, TOO_MANY_REQUESTS = 100, 429

BENCHMARKS = "apis/sdbench.dev/v1alpha1", "stablediffusionbenchmarks"
JOBS = "apis/kubeflow.org/v1", "pytorchjobs"
PODS = "api/v1", "pods"
MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API server's response is an error."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code


class Api:
    """A client of the API server with persistent connections."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session, self._server = session, server

    async def send(self, method: str, path: str, body: Document | None = None, **query: str) -> Document:
        """The document in the response. Raises Refused; while the API server is not ready (429), it retries."""
        for _ in range(READY_TRIES):
            try:
                return await self._sent(method, path, body, query)
            except Refused as refusal:
                if refusal.code != TOO_MANY_REQUESTS:
                    raise
                await asyncio.sleep(0.2)
        return await self._sent(method, path, body, query)

    async def _sent(self, method: str, path: str, body: Document | None, query: dict[str, str]) -> Document:
        kind = MERGE if method == "PATCH" else "application/json"
        content = json.dumps(body) if body is not None else None
        headers = {"Content-Type": kind}
        async with self._session.request(
            method, f"{self._server}/{path}", data=content, headers=headers, params=query
        ) as answer:
            document: Document = await answer.json(content_type=None)
        if answer.status >= 400:
            raise Refused(answer.status, str(document.get("message")))
        return document

    async def watch(self, path: str, version: str) -> AsyncIterator[Document]:
        """The changes after a version, until the API server ends the watch."""
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with self._session.get(f"{self._server}/{path}", params=query) as answer:
            if answer.status >= 400:
                raise Refused(answer.status, await answer.text())
            async for line in answer.content:
                yield json.loads(line)


def place(resource: tuple[str, str], namespace: str, name: str = "") -> str:
    """The path of a namespace's objects, or of one of them."""
    group, plural = resource
    return f"{group}/namespaces/{namespace}/{plural}{f'/{name}' if name else ''}"


@asynccontextmanager
async def administrator(plane: ControlPlane) -> AsyncIterator[Api]:
    """A client of the control plane, as its administrator."""
    trust = ssl.create_default_context(cafile=str(plane.authority.certificate))
    trust.load_cert_chain(plane.administrator.certificate, plane.administrator.key)
    # A watch never ends by itself, and one line of it may be a whole Benchmark.
    timeout = aiohttp.ClientTimeout(total=None, connect=10)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=2**24) as session:
        yield Api(session, plane.server)
