"""Tests the whole schema walk: every awkward value at every place, and what is accepted with an operator.

The same as tests/walk/test_every_place.py and test_changes.py, with nothing left out: some thousand questions.
"""

from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.outcomes import outcome, seen, settled
from testkit.schema.mutations import Mutation, Place, mutations, placed
from testkit.schema.oracles import Consequences
from testkit.schema.seeds import PLACES, WHOLE, Bases
from testkit.server.answers import Answer, Asking
from testkit.server.namespaces import made_namespace
from walk.test_every_place import judged

pytest_plugins = ["testkit.server.places", "testkit.schema.walks"]

AT_ONCE = 100
"""Questions under one operator at the same time."""

SECONDS = 300


@pytest.fixture(scope="session")
def walked(asking: Asking, bases: Bases) -> dict[str, list[tuple[Mutation, Answer]]]:
    """What the API server answers to every mutation of every place."""

    def answers(place: Place) -> list[tuple[Mutation, Answer]]:
        base = bases.of(place)
        return [(one, asking.create(placed(base, WHOLE, place.path, one.value))) for one in mutations(place)]

    return {place.name: answers(place) for place in PLACES}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_change_is_refused_by_name_or_can_be_asked(
    walked: dict[str, list[tuple[Mutation, Answer]]], consequences: Consequences, place: Place
) -> None:
    flaws = {one.name: flaw for one, answer in walked[place.name] if (flaw := judged(one, answer, consequences))}
    assert flaws == {}


@pytest.mark.timeout(3600)
def test_whatever_is_taken_comes_to_a_clear_state_under_a_real_operator(
    plane: ControlPlane, operating: Path, walked: dict[str, list[tuple[Mutation, Answer]]]
) -> None:
    """The operator lives and knows of no bug: `operating` looks for that at the end."""
    taken = [answer.document for answers in walked.values() for _, answer in answers if answer.taken]
    asking = Asking(plane.kubeconfig, made_namespace(plane))
    for first in range(0, len(taken), AT_ONCE):
        for number, document in enumerate(taken[first : first + AT_ONCE]):
            asked = {"apiVersion": document["apiVersion"], "kind": document["kind"], "spec": document["spec"]}
            assert asking.create(asked | {"metadata": {"name": f"walk-{number}"}}, dry=False).taken
        for status in _states(asking):
            assert {("Accepted", "True"), ("Accepted", "False")} & {(one["type"], one["status"]) for one in status}
        asking.delete_benchmarks()
        until(lambda: not any(seen(asking)), SECONDS, "the batch to be gone")


def _states(asking: Asking) -> list[list[dict[str, Any]]]:
    """The conditions of each Benchmark, once all have been looked at."""

    def all_settled() -> list[list[dict[str, Any]]] | None:
        benchmarks, jobs = seen(asking)
        if not all(settled(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks):
            return None
        return [outcome(one, ()).status["conditions"] for one in benchmarks]

    return until(all_settled, SECONDS, "every question to be looked at")
