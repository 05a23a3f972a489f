"""Tests what the operator finds served, by the API server's answers to its lists."""

from collections.abc import Mapping
from typing import Any

import pytest

from sdbench.api.names import PLURAL
from sdbench.controller.apiserver.cluster import Cluster, Served
from sdbench.controller.apiserver.errors import ApiError, Forbidden, NotFound, Unavailable
from sdbench.controller.apiserver.requests import JOBS, Call

A, B = "team-a", "team-b"
BOTH = frozenset({PLURAL, JOBS})
NO_RIGHT, NO_CRD, AWAY = Forbidden("403: no right"), NotFound("404"), Unavailable("503")

Answers = Mapping[tuple[str, str], ApiError]
"""Errors by namespace and resource; every other list call succeeds."""


class ScriptedTransport:
    """A transport that raises these errors and lists nothing."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def send(self, call: Call, path: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
        assert query == {"limit": "1"}
        error = self._answers.get((path.get("namespace", ""), call.right.resource))
        if error is not None:
            raise error
        return {"items": []}


def cluster(answers: Answers) -> Cluster:
    played: Any = ScriptedTransport(answers)
    return Cluster(played)


def everywhere(namespace: str, error: ApiError) -> Answers:
    return {(namespace, resource): error for resource in BOTH}


@pytest.mark.parametrize(
    ("namespaces", "answers", "found"),
    [
        ((), {}, Served(BOTH)),
        ((), {("", JOBS): NO_CRD}, Served(frozenset({PLURAL}))),
        ((A,), {}, Served(BOTH, (A,))),
        ((A,), everywhere(A, NO_CRD), Served(frozenset(), (A,))),
        ((A, B), {}, Served(BOTH, (A, B))),
        ((A, B), everywhere(A, NO_RIGHT), Served(BOTH, (B,))),
        ((A, B), everywhere(B, NO_RIGHT), Served(BOTH, (A,))),
        ((A, B), {(A, JOBS): NO_RIGHT}, Served(BOTH, (B,))),
        ((A, B), {(A, PLURAL): NO_RIGHT, (B, JOBS): NO_CRD}, Served(frozenset({PLURAL}), (B,))),
    ],
)
async def test_an_unreadable_namespace_is_left_out(
    namespaces: tuple[str, ...], answers: Answers, found: Served
) -> None:
    served = await cluster(answers).served(namespaces)
    assert served == found
    assert set(served.unreadable) == set(namespaces) - set(found.namespaces)
    assert set(served.unreadable.values()) <= {str(NO_RIGHT)}


@pytest.mark.parametrize(
    ("namespaces", "answers", "error"),
    [
        ((), everywhere("", NO_RIGHT), Forbidden),
        ((A,), {(A, JOBS): NO_RIGHT}, Forbidden),
        ((A, B), {**everywhere(A, NO_RIGHT), **everywhere(B, NO_RIGHT)}, Forbidden),
        ((A, B), everywhere(B, AWAY), Unavailable),
    ],
)
async def test_no_readable_namespace_or_no_answer_is_an_error(
    namespaces: tuple[str, ...], answers: Answers, error: type[ApiError]
) -> None:
    with pytest.raises(error):
        await cluster(answers).served(namespaces)
