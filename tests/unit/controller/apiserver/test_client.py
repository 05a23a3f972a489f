"""Tests how a request ends that is cut off, and whose time counts."""

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import pytest
from kubernetes.aio.client import ApiClient

from sdbench.controller.apiserver.client import Transport
from sdbench.controller.apiserver.errors import Unavailable
from sdbench.controller.apiserver.requests import LIST_PODS


class Client:
    """A connection that answers each request with what `answer` returns or raises."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def param_serialize(self, method: str, path: str, **_: Any) -> tuple[str, str, dict[str, str], None, None]:
        return method, path, {}, None, None

    async def call_api(self, *_: Any, **__: Any) -> Any:
        return await self._answer()


class Response:
    """An empty list, with a Date header of noon."""

    status = 200
    headers: ClassVar = {"Date": "Tue, 01 Jan 2030 12:00:00 GMT"}

    async def read(self) -> bytes:
        return b'{"items": []}'


def transport(answer: Any) -> Transport:
    return Transport(cast(ApiClient, Client(answer)), lambda _, code: None)


async def test_a_request_cancelled_by_another_task_counts_as_no_response() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Unavailable):
        await transport(cancelled).send(LIST_PODS, {})


async def test_a_cancelled_task_ends_in_the_middle_of_its_request() -> None:
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(transport(endless).send(LIST_PODS, {}))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_time_comes_from_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered() -> Response:
        return Response()

    # This machine's clock is an hour slow, then an hour fast.
    for wrong in (-3600.0, 3600.0):
        monkeypatch.setattr("time.time", lambda wrong=wrong: 1e9 + wrong)
        one = transport(answered)
        await one.send(LIST_PODS, {})
        assert abs((one.now() - datetime(2030, 1, 1, 12, tzinfo=UTC)).total_seconds()) < 5
