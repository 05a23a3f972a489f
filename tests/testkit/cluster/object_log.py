"""Logs every object that is created or deleted in the cluster, with a watch of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp

from testkit.server.direct import BENCHMARKS, JOBS, PODS, Api, Document, Refused

WATCHED = (BENCHMARKS, JOBS, PODS)
SECONDS = 200
"""The longest wait: what takes two seconds on an idle machine takes a minute on one that is overloaded tenfold."""

PAUSE_SECONDS = 0.2

Value = TypeVar("Value")
Listener = Callable[[str, Document], None]
"""Called with the plural and the document of every object that was created or changed."""


@dataclass
class ObjectLog:
    """Existing objects by plural and UID, and every (plural, namespace, name, UID) that ever existed."""

    objects: dict[str, dict[str, Document]] = field(default_factory=lambda: {plural: {} for _, plural in WATCHED})
    made: set[tuple[str, str, str, str]] = field(default_factory=set)
    listeners: list[Listener] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _broken: str = ""

    def existing(self, resource: tuple[str, str], namespace: str) -> list[Document]:
        found = self.objects[resource[1]].values()
        return [one for one in found if one["metadata"]["namespace"] == namespace]

    def one(self, resource: tuple[str, str], namespace: str, name: str) -> Document | None:
        """The object of this name, or None."""
        found = self.existing(resource, namespace)
        return next((one for one in found if one["metadata"]["name"] == name), None)

    def ever(self, resource: tuple[str, str], namespace: str) -> list[tuple[str, str]]:
        """Name and UID of every object that was ever seen in the namespace."""
        there = (resource[1], namespace)
        return sorted((name, uid) for plural, place, name, uid in self.made if (plural, place) == there)

    async def until(self, fact: Callable[[], Value | None], what: str, seconds: float = SECONDS) -> Value:
        """Waits for the first value of `fact` that is neither None nor False."""
        try:
            async with asyncio.timeout(seconds), self._news:
                while (value := fact()) is None or value is False:
                    assert not self._broken, self._broken
                    await self._news.wait()
                return value
        except TimeoutError:
            raise AssertionError(f"timed out after {seconds:g} s waiting for {what}") from None

    async def follow(self, api: Api, resource: tuple[str, str]) -> None:
        """Logs all objects of one kind, until it is cancelled."""
        group, plural = resource
        while True:
            # At the start, and again after a restart of the API server, which has then lost old versions.
            listed = await _listed(api, f"{group}/{plural}")
            await self._compare(plural, listed["items"])
            version = listed["metadata"]["resourceVersion"]
            while version:
                version = await self._hear(api, f"{group}/{plural}", plural, version)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _hear(self, api: Api, path: str, plural: str, version: str) -> str:
        """Logs one watch's events; returns the version from which the next continues, or "" if none can."""
        with unavailability():
            async for event in api.watch(path, version):
                if event["type"] == "ERROR":
                    assert event["object"]["code"] == 410, event
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    await self._note(event["type"], plural, event["object"])
        return version

    async def _compare(self, plural: str, listed: list[Document]) -> None:
        gone = self.objects[plural].keys() - {one["metadata"]["uid"] for one in listed}
        for one in [self.objects[plural][uid] for uid in gone]:
            await self._note("DELETED", plural, one)
        for one in listed:
            await self._note("ADDED", plural, one)

    async def _note(self, kind: str, plural: str, one: Document) -> None:
        metadata = one["metadata"]
        self.made.add((plural, metadata["namespace"], metadata["name"], metadata["uid"]))
        if kind == "DELETED":
            self.objects[plural].pop(metadata["uid"], None)
        else:
            self.objects[plural][metadata["uid"]] = one
            for listener in self.listeners:
                listener(plural, one)
        async with self._news:
            self._news.notify_all()

    async def broke(self, error: BaseException) -> None:
        """Fails all waits, because the log has ended with this error."""
        self._broken = f"the object log has ended: {error!r}"
        async with self._news:
            self._news.notify_all()


async def _listed(api: Api, path: str) -> Document:
    """All objects of a kind; retries until the API server serves it, which takes a moment for a new CRD."""
    while True:
        with unavailability():
            return await api.send("GET", path)
        await asyncio.sleep(PAUSE_SECONDS)


@contextlib.contextmanager
def unavailability() -> Iterator[None]:
    """Ignores errors of an API server that is down or not ready."""
    try:
        yield
    except (OSError, aiohttp.ClientError, TimeoutError):
        return
    except Refused as refusal:
        if refusal.code not in (429, 500, 503):
            raise


@contextlib.asynccontextmanager
async def following_objects(api: Api) -> AsyncIterator[ObjectLog]:
    """Logs all objects inside the block."""
    objects = ObjectLog()

    async def following(resource: tuple[str, str]) -> None:
        try:
            await objects.follow(api, resource)
        except Exception as error:
            await objects.broke(error)
            raise

    tasks = [asyncio.create_task(following(resource)) for resource in WATCHED]
    try:
        yield objects
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
