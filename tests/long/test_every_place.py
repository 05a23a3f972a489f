"""Tests the whole schema walk: every awkward value at every place, and what is accepted with an operator.

The same as tests/walk/test_every_place.py and test_changes.py, but with every value: some thousand Benchmarks.
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
"""How many Benchmarks one operator has at the same time."""

SECONDS = 300


@pytest.fixture(scope="session")
def walked(asking: Asking, bases: Bases) -> dict[str, list[tuple[Mutation, Answer]]]:
    """The API server's answer to every mutation of every place."""

    def answers(place: Place) -> list[tuple[Mutation, Answer]]:
        base = bases.of(place)
        return [(one, asking.create(placed(base, WHOLE, place.path, one.value))) for one in mutations(place)]

    return {place.name: answers(place) for place in PLACES}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_change_is_refused_by_name_or_can_be_run(
    walked: dict[str, list[tuple[Mutation, Answer]]], consequences: Consequences, place: Place
) -> None:
    flaws = {one.name: flaw for one, answer in walked[place.name] if (flaw := judged(one, answer, consequences))}
    assert flaws == {}


@pytest.mark.timeout(3600)
def test_a_real_operator_accepts_or_refuses_whatever_the_api_server_accepts(
    plane: ControlPlane, operating: Path, walked: dict[str, list[tuple[Mutation, Answer]]]
) -> None:
    """At the end, `operating` checks that the operator still runs and has logged no bug."""
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
    """Waits until the operator has observed all Benchmarks; returns the conditions of each."""

    def all_settled() -> list[list[dict[str, Any]]] | None:
        benchmarks, jobs = seen(asking)
        if not all(settled(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks):
            return None
        return [outcome(one, ()).status["conditions"] for one in benchmarks]

    return until(all_settled, SECONDS, "every Benchmark to be observed")
