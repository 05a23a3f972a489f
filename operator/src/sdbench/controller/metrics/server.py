"""Serves /metrics, and /healthz with a sentence when something is wrong."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


@asynccontextmanager
async def served(port: int, registry: CollectorRegistry, complaint: Callable[[], str]) -> AsyncIterator[None]:
    """While inside, the port answers."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(_: web.Request) -> web.Response:
        wrong = complaint()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", health)])
    # A connection that is kept open is a task, which kopf would wait for when it ends.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, keepalive_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
