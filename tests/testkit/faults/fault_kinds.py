"""Defines what can go wrong between an operator and the API server, one word per fault.

On a request: `killed_before`, `killed_after`, `refused`, `reset`, `unheard`, `silent`, `slow`; stale_reads.py adds one.
On a watch: `frozen`, `doubled`, `shuffled`, and the line `GONE` that ends one.
"""

import asyncio
import json
from collections.abc import Callable

from aiohttp import web

from testkit.operators.proxy import Event, Exchange, Fault

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}

GONE: Event = {
    "type": "ERROR",
    "object": {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"},
}
"""A watch's last line if the API server no longer has the version from which it should continue."""

CHUNKS = 20


def refused(code: int, retry_after: int | None = None) -> Fault:
    """Responds with this error without sending the request to the API server."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": REASONS[code]}
    body = json.dumps(status | {"message": f"a fault of the test: {REASONS[code]}"})
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return web.Response(status=code, text=body, headers=headers, content_type="application/json")

    return fault


async def reset(exchange: Exchange) -> web.StreamResponse:
    """Resets the connection before the API server gets the request."""
    return exchange.reset()


async def unheard(exchange: Exchange) -> web.StreamResponse:
    """Sends the request to the API server, and loses the response."""
    await exchange.complete()
    return exchange.reset()


def silent(seconds: float) -> Fault:
    """Responds nothing for so long, and then resets the connection."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return exchange.reset()

    return fault


def slow(seconds: float) -> Fault:
    """Sends the response slowly, in small chunks."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        status, body = await exchange.complete()
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        await response.prepare(exchange.incoming)
        size = max(1, len(body) // CHUNKS)
        for start in range(0, len(body), size):
            await asyncio.sleep(seconds / CHUNKS)
            await response.write(body[start : start + size])
        await response.write_eof()
        return response

    return fault


def killed_before(kill: Callable[[Exchange], None]) -> Fault:
    """Kills the operator before the API server gets the request."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        kill(exchange)
        return exchange.reset()

    return fault


def killed_after(kill: Callable[[Exchange], None]) -> Fault:
    """Kills the operator after the API server has done the request, before the response arrives."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await exchange.complete()
        kill(exchange)
        return exchange.reset()

    return fault


def frozen(events: list[Event]) -> list[Event]:
    """Drops all lines; the watch stays open."""
    return []


def doubled(events: list[Event]) -> list[Event]:
    """Sends each line twice."""
    return [event for event in events for _ in range(2)]


def shuffled(events: list[Event]) -> list[Event]:
    """Reverses the order of objects, but keeps the order of changes of one object."""
    changes = [event for event in events if event["type"] != "BOOKMARK"]
    objects = dict.fromkeys(_uid(event) for event in changes)
    in_reverse = [event for uid in reversed(objects) for event in changes if _uid(event) == uid]
    return in_reverse + [event for event in events if event["type"] == "BOOKMARK"]


def _uid(event: Event) -> str:
    return str(event["object"]["metadata"]["uid"])
