"""Sends one request to the API server: authentication, time limit, errors, the server's time.

What time is it? The API server's time, so that all times in a status are of one clock.
"""

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
"""An object of the API as JSON; it is read by controller/observe and made by controller/job only."""

TIME_LIMIT = aiohttp.ClientTimeout(total=30, connect=10)

Heard = Callable[[Call, str], None]
"""Told of every request: the call, and its status code, or `error` when there was no response."""


class Transport:
    """A connection to one API server."""

    def __init__(self, client: ApiClient, heard: Heard) -> None:
        self._client = client
        self._heard = heard
        self._clock = ServerClock()

    def now(self) -> datetime:
        """The API server's time."""
        return self._clock.now(time.monotonic())

    async def send(
        self,
        call: Call,
        path: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
    ) -> Document:
        """The response's document. Raises ApiError."""
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
            if _cancelled():
                raise
            self._heard(call, "error")
            raise Unavailable(f"no response from the API server: {error!r}") from error
        self._heard(call, str(response.status))
        if date := response.headers.get("Date"):
            self._clock.seen(date, time.monotonic())
        if response.status >= 400:
            raise error_in(response.status, content.decode(errors="replace"), response.headers)
        return _document(content)


def _cancelled() -> bool:
    """Whether this task itself is to end.

    kopf, when it is started anew, cancels every task that it does not know: one of them may belong to a request.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _document(content: bytes) -> Document:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ApiError("the API server's response is no JSON") from error
    if not isinstance(document, dict):
        raise ApiError("the API server's response is no object")
    return document


@asynccontextmanager
async def connected(heard: Heard) -> AsyncIterator[Transport]:
    """A connection as the pod's ServiceAccount, or outside a cluster as $KUBECONFIG says."""
    configuration = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        load_incluster_config(client_configuration=configuration)
    else:
        await load_kube_config(client_configuration=configuration)
    configuration.client_session_kwargs = {"trust_env": False}
    async with ApiClient(configuration) as client:
        yield Transport(client, heard)


WHOLE_SECOND = timedelta(seconds=1)


class ServerClock:
    """Follows the `Date` header of responses; in between, monotonic seconds are added.

    A header has whole seconds, so its moment is somewhere in the second that it names. The clock runs on while it
    is inside, so that it does not step back and forth, and is set to the nearer edge when it is not.
    """

    def __init__(self) -> None:
        self._known: tuple[datetime, float] | None = None

    def seen(self, date: str, monotonic: float) -> None:
        """Take note of a response's Date header."""
        earliest = parsedate_to_datetime(date).astimezone(UTC)
        latest = earliest + WHOLE_SECOND
        guess = self.now(monotonic) if self._known else earliest
        self._known = (min(max(guess, earliest), latest), monotonic)

    def now(self, monotonic: float) -> datetime:
        """The server's time at this monotonic moment; there must have been a response."""
        if self._known is None:
            raise LookupError("no response of the API server has been seen")
        moment, then = self._known
        return moment + timedelta(seconds=monotonic - then)
