"""Tests the whole schema walk: every awkward value at every place, and what is accepted with an operator.

The same as tests/walk/test_every_place.py and test_changes.py, but with every value: some thousand Benchmarks.
"""

from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.outcomes import benchmarks_and_jobs, is_observed, outcome
from testkit.schema.mutations import Mutation, Place, mutations, placed
from testkit.schema.oracles import Consequences
from testkit.schema.seeds import PLACES, WHOLE, Bases
from testkit.server.client import Answer, BenchmarkClient
from testkit.server.namespaces import create_namespace
from walk.test_every_place import judged

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]

AT_ONCE = 100
"""How many Benchmarks one operator has at the same time."""

SECONDS = 300


@pytest.fixture(scope="session")
def walked(client: BenchmarkClient, bases: Bases) -> dict[str, list[tuple[Mutation, Answer]]]:
    """The API server's answer to every mutation of every place."""

    def answers(place: Place) -> list[tuple[Mutation, Answer]]:
        base = bases.of(place)
        return [(one, client.create(placed(base, WHOLE, place.path, one.value))) for one in mutations(place)]

    return {place.name: answers(place) for place in PLACES}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_change_is_refused_by_name_or_can_be_run(
    walked: dict[str, list[tuple[Mutation, Answer]]], consequences: Consequences, place: Place
) -> None:
    flaws = {one.name: flaw for one, answer in walked[place.name] if (flaw := judged(one, answer, consequences))}
    assert flaws == {}


@pytest.mark.timeout(3600)
def test_a_real_operator_accepts_or_refuses_whatever_the_api_server_accepts(
    plane: ControlPlane, running_operator: Path, walked: dict[str, list[tuple[Mutation, Answer]]]
) -> None:
    """At the end, `running_operator` checks that the operator still runs and has logged no bug."""
    taken = [answer.document for answers in walked.values() for _, answer in answers if answer.accepted]
    client = BenchmarkClient(plane.kubeconfig, create_namespace(plane))
    for first in range(0, len(taken), AT_ONCE):
        for number, document in enumerate(taken[first : first + AT_ONCE]):
            asked = {"apiVersion": document["apiVersion"], "kind": document["kind"], "spec": document["spec"]}
            assert client.create(asked | {"metadata": {"name": f"walk-{number}"}}, dry=False).accepted
        for status in _states(client):
            assert {("Accepted", "True"), ("Accepted", "False")} & {(one["type"], one["status"]) for one in status}
        client.delete_benchmarks()
        until(lambda: not any(benchmarks_and_jobs(client)), SECONDS, "the batch to be gone")


def _states(client: BenchmarkClient) -> list[list[dict[str, Any]]]:
    """Waits until the operator has observed all Benchmarks; returns the conditions of each."""

    def all_observed() -> list[list[dict[str, Any]]] | None:
        benchmarks, jobs = benchmarks_and_jobs(client)
        if not all(is_observed(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks):
            return None
        return [outcome(one, ()).status["conditions"] for one in benchmarks]

    return until(all_observed, SECONDS, "every Benchmark to be observed")
