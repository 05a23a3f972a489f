"""Takes snapshots of a namespace, and answers reads from one for a while.

Only GET and LIST are stale. Writes reach the current cluster, and watches continue from the old version, as with an API
server that lags behind.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Self

from aiohttp import web

from testkit.faults.multi_namespace import Sandbox
from testkit.operators.proxy import Armed, Exchange, FaultProxy, Where, where
from testkit.server.direct import BENCHMARKS, JOBS, PODS, Document, place

SECONDS = 3.0
"""How long the view stays stale."""

KINDS = (BENCHMARKS, JOBS, PODS)


@dataclass(frozen=True)
class Snapshot:
    """A namespace's lists at one point in time, by plural."""

    lists: dict[str, Document]

    def answer(self, exchange: Exchange) -> web.Response:
        """The response of an API server at that time."""
        request, listed = exchange.request, self.lists[exchange.request.resource]
        if request.verb == "list":
            selector = exchange.incoming.query.get("labelSelector", "")
            return web.json_response(listed | {"items": [one for one in listed["items"] if fits(one, selector)]})
        found = [one for one in listed["items"] if one["metadata"]["name"] == request.name]
        if not found:
            status = {"kind": "Status", "apiVersion": "v1", "code": 404, "reason": "NotFound", "message": "not yet"}
            return web.json_response(status, status=404)
        return web.json_response(found[0])


def fits(one: Document, selector: str) -> bool:
    """Whether an object matches a selector of the form `key` or `key=value`."""
    key, _, value = selector.partition("=")
    labels = one["metadata"].get("labels") or {}
    return not selector or (labels.get(key) == value if value else key in labels)


async def snapshot(sandbox: Sandbox) -> Snapshot:
    """Takes a Snapshot of the namespace."""
    api, namespace = sandbox.shared_cluster.api, sandbox.namespace
    return Snapshot({kind[1]: await api.send("GET", place(kind, namespace)) for kind in KINDS})


ALL_OLD = where("get list", " ".join(plural for _, plural in KINDS))
JOBS_LISTED_OLD = where("list", JOBS[1])


def show(view: Snapshot, proxy: FaultProxy, old: Where = ALL_OLD) -> Armed:
    """Answers the requests `old` from the snapshot, until some seconds after the first of them."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        if armed.hits == 1:
            asyncio.get_running_loop().call_later(SECONDS, armed.disarm)
        return view.answer(exchange)

    armed = proxy.arm(old, fault)
    return armed


@dataclass
class Past:
    """Keeps snapshots of a namespace from before each of its last writes."""

    sandbox: Sandbox
    views: deque[Snapshot]

    @classmethod
    def of(cls, sandbox: Sandbox, writes_behind: int) -> Self:
        return cls(sandbox, deque(maxlen=writes_behind + 1))

    async def look(self, exchange: Exchange) -> None:
        """Called before every request is passed on."""
        if exchange.request.writes:
            self.views.append(await snapshot(self.sandbox))

    def show(self, proxy: FaultProxy) -> None:
        """Answers the proxy's next reads from the oldest snapshot."""
        show(self.views[0], proxy)
