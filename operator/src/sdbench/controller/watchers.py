"""Which of kopf's watchers live, and how is one ended that kopf has forgotten? Each is a task, known by its name.

When one of them fails, kopf ends without its other ones. It cancels them last, each together with the task by which a
watcher is paused, and takes the one for the other: then a watcher begins again, with the login of a kopf that is no
more, and kopf waits for it for ever. A watcher that alone is cancelled ends.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

NAME = "watcher for "
"""How the name of a watcher's task begins; what it watches follows."""

TRIES, TRY_SECONDS = 3, 2.0
"""A watcher may take exit_timeout, two seconds, to end what it has begun."""

Task = asyncio.Task[Any]


def watchers() -> frozenset[Task]:
    """Those that live."""
    return frozenset(task for task in asyncio.all_tasks() if task.get_name().startswith(NAME))


async def ended(tasks: Iterable[Task]) -> bool:
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
