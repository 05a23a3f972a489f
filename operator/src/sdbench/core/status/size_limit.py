"""How does the answer to the largest question fit into one object? Explanations give way, numbers do not.

etcd takes requests of 1.5 MiB. 512 Trials of 512 Points, each on an environment of its own, may say more than that;
a status that is refused would keep the Benchmark where it is for ever.
"""

import json
from collections.abc import Callable

from sdbench.api.status import Status
from sdbench.core.format import bounded

LIMIT_BYTES = 1_400_000
"""Most that a status may have; the rest is for spec and metadata."""

SURELY_FITTING = 128
"""Trials whose status fits whatever they say."""

SHORT = 96
"""Characters that are left of a sentence where there is no room."""

Step = Callable[[Status], Status]


def within_size_limit(status: Status) -> Status:
    """The status, or as little less as fits. Without environments nothing is known to have run on the same: gates that
    ask for it then say InsufficientData.
    """
    if len(status.trials) <= SURELY_FITTING:
        return status
    for step in (_whole, _brief, _without_environments, _silent):
        status = step(status)
        if written_bytes(status) <= LIMIT_BYTES:
            return status
    return status


def written_bytes(status: Status) -> int:
    """At least what the API server writes: it escapes < > & as six characters each."""
    text = json.dumps(status.document(), ensure_ascii=False, separators=(",", ":"))
    return len(text.encode()) + 5 * sum(text.count(mark) for mark in "<>&")


def _whole(status: Status) -> Status:
    return status


def _brief(status: Status) -> Status:
    return _with_sentences(status, SHORT)


def _silent(status: Status) -> Status:
    return _with_sentences(status, 1)


def _with_sentences(status: Status, characters: int) -> Status:
    rows = (row.model_copy(update={"message": bounded(row.message, characters)}) for row in status.trials)
    points = (
        point.model_copy(update={"projection_message": bounded(point.projection_message, characters)})
        if point.projection_message
        else point
        for point in status.points
    )
    return status.model_copy(update={"trials": tuple(rows), "points": tuple(points)})


def _without_environments(status: Status) -> Status:
    rows = tuple(row.model_copy(update={"environment": None}) for row in status.trials)
    return status.model_copy(update={"trials": rows, "environments": ()})
