"""Serves /metrics, and /healthz with a sentence when something is wrong."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


@asynccontextmanager
async def served(port: int, registry: CollectorRegistry, problem: Callable[[], str]) -> AsyncIterator[None]:
    """Serves on the port while inside the context; `problem` returns a sentence, or nothing while all is well."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(_: web.Request) -> web.Response:
        sentence = problem()
        return web.Response(text=f"{sentence or 'ok'}\n", status=503 if sentence else 200)

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", health)])
    # An open connection is a task, and kopf, when it ends, waits for every task that it does not know.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, keepalive_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
