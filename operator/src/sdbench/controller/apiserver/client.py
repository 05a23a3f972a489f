"""Sends one request to the API server: authentication, time limit, errors, the server's time."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

from sdbench.controller.apiserver.errors import ApiError, Unavailable, error_in
from sdbench.controller.apiserver.requests import Call

Document = dict[str, Any]
"""An API object as JSON; only controller/observe reads its fields, and only controller/job makes one."""

TIME_LIMIT = aiohttp.ClientTimeout(total=30, connect=10)

OnRequest = Callable[[Call, str], None]
"""Called after each request with the call and its status code, or `error` if there was no response."""


class Transport:
    """Sends requests to one API server."""

    def __init__(self, client: ApiClient, on_request: OnRequest) -> None:
        self._client = client
        self._on_request = on_request
        self._clock = ServerClock()

    def now(self) -> datetime:
        """The API server's time, so that all times in a status are of one clock."""
        return self._clock.now(time.monotonic())

    async def send(
        self, call: Call, path: Mapping[str, str], query: Mapping[str, str] | None = None, body: Document | None = None
    ) -> Document:
        """Sends a request and returns the response's document. Raises ApiError."""
        method, url, headers, _, _ = await self._client.param_serialize(
            call.method,
            call.path,
            path_params=dict(path),
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._client.call_api(method, url, headers, body, _request_timeout=TIME_LIMIT)
            content = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError, asyncio.CancelledError) as error:
            # kopf, when it is restarted, cancels every task that it does not know, and one may belong to a request.
            # Only if this task itself is cancelled, the request ends with it.
            task = asyncio.current_task()
            if task is not None and task.cancelling() > 0:
                raise
            self._on_request(call, "error")
            raise Unavailable(f"no response from the API server: {error!r}") from error
        self._on_request(call, str(response.status))
        if date := response.headers.get("Date"):
            self._clock.set(date, time.monotonic())
        if response.status >= 400:
            raise error_in(response.status, content.decode(errors="replace"), response.headers)
        return _document(content)


def _document(content: bytes) -> Document:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ApiError("the API server's response is not valid JSON") from error
    if not isinstance(document, dict):
        raise ApiError("the API server's response is not a JSON object")
    return document


@asynccontextmanager
async def connected(on_request: OnRequest) -> AsyncIterator[Transport]:
    """Connects as the pod's ServiceAccount, or outside a cluster by $KUBECONFIG."""
    configuration = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        load_incluster_config(client_configuration=configuration)
    else:
        await load_kube_config(client_configuration=configuration)
    configuration.client_session_kwargs = {"trust_env": False}
    async with ApiClient(configuration) as client:
        yield Transport(client, on_request)


class ServerClock:
    """Follows the `Date` headers of responses; between them it counts monotonic seconds."""

    def __init__(self) -> None:
        self._known: tuple[datetime, float] | None = None

    def set(self, date: str, monotonic: float) -> None:
        """Adjusts the clock to a response's Date header."""
        # The header has whole seconds. The clock runs on while it is inside the named second, so that it does not step
        # back and forth, and is set to the nearer edge when it is outside.
        earliest = parsedate_to_datetime(date).astimezone(UTC)
        latest = earliest + timedelta(seconds=1)
        guess = self.now(monotonic) if self._known else earliest
        self._known = (min(max(guess, earliest), latest), monotonic)

    def now(self, monotonic: float) -> datetime:
        """The server's time at this monotonic time. Raises LookupError before the first response."""
        if self._known is None:
            raise LookupError("the API server has not answered yet")
        moment, then = self._known
        return moment + timedelta(seconds=monotonic - then)
