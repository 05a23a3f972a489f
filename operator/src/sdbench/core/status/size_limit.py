"""Keeps a status below etcd's limit: explanations are shortened, numbers are kept.

etcd takes requests of 1.5 MiB. 512 Trials of 512 Points, each in an environment of its own, may need more than that,
and a status that is refused would keep the Benchmark where it is for ever.
"""

import json

from sdbench.api.status import Status
from sdbench.core.format import bounded

LIMIT_BYTES = 1_400_000
"""The largest status in bytes; the rest is for spec and metadata."""

SURELY_FITTING = 128
"""The number of Trials whose status fits in any case."""

SHORT = 96
"""The length to which sentences are cut if there is no room."""


def within_size_limit(status: Status) -> Status:
    """The status, shortened as little as necessary."""
    # Writing a status takes time, and most are small.
    if len(status.trials) <= SURELY_FITTING or written_bytes(status) <= LIMIT_BYTES:
        return status
    status = _with_sentences(status, SHORT)
    if written_bytes(status) <= LIMIT_BYTES:
        return status
    # Gates that need the environments say InsufficientData from here on.
    rows = tuple(row.model_copy(update={"environment": None}) for row in status.trials)
    status = status.model_copy(update={"trials": rows, "environments": ()})
    return status if written_bytes(status) <= LIMIT_BYTES else _with_sentences(status, 1)


def written_bytes(status: Status) -> int:
    """An upper bound of what the API server writes: it escapes < > & as six characters each."""
    text = json.dumps(status.document(), ensure_ascii=False, separators=(",", ":"))
    return len(text.encode()) + 5 * sum(text.count(mark) for mark in "<>&")


def _with_sentences(status: Status, characters: int) -> Status:
    rows = (row.model_copy(update={"message": bounded(row.message, characters)}) for row in status.trials)
    points = (
        point.model_copy(update={"projection_message": bounded(point.projection_message, characters)})
        if point.projection_message
        else point
        for point in status.points
    )
    return status.model_copy(update={"trials": tuple(rows), "points": tuple(points)})
