"""Which of kopf's watchers live, and how is one ended that kopf has forgotten? Each is a task, known by its name.

When one of them fails, kopf ends without its other ones. It cancels them last, each together with the task by which a
watcher is paused, and takes the one for the other: then a watcher begins again, with the login of a kopf that is no
more, and kopf waits for it for ever. A watcher that alone is cancelled ends.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from sdbench.controller.apiserver.cluster import Served

NAME = "watcher for "
"""How the name of a watcher's task begins; the resource follows, as in pods.v1@team-a, and the namespace, or None."""

PODS = "pods"
TRIES, TRY_SECONDS = 3, 2.0
"""A watcher may take exit_timeout, two seconds, to end what it has begun."""

Task = asyncio.Task[Any]


def watchers() -> frozenset[Task]:
    """Those that live."""
    return frozenset(task for task in asyncio.all_tasks() if task.get_name().startswith(NAME))


def unwatched(served: Served) -> frozenset[str]:
    """What is served and has no watcher, as in pods@team-a."""
    places = served.namespaces or (None,)
    wanted = {f"{plural}@{place}" for plural in (*served.plurals, PODS) for place in places}
    return frozenset(wanted - {_watched(task.get_name()) for task in watchers()})


def _watched(name: str) -> str:
    resource, _, place = name.removeprefix(NAME).partition("@")
    return f"{resource.partition('.')[0]}@{place}"


async def cancel_all(tasks: Iterable[Task]) -> bool:
    """Cancel these tasks; whether they have ended, for which they have some seconds."""
    left = set(tasks)
    for _ in range(TRIES):
        left = {task for task in left if not task.done()}
        if not left:
            return True
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=TRY_SECONDS)
    return all(task.done() for task in left)
