"""Tests that only limits and switches of a stored Benchmark can be edited."""

import pytest

from testkit.operators.outcomes import Document
from testkit.schema.mutations import Place
from testkit.schema.seeds import FIELDS, MUTABLE, Change, small_seeds
from testkit.server.client import BenchmarkClient
from testkit.server.examples import example_benchmark

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]

EDITABLE = [place for place in FIELDS if place.path[1] in MUTABLE]
IMMUTABLE = [place for place in FIELDS if place not in EDITABLE]


@pytest.fixture(scope="module")
def stored_seeds(client: BenchmarkClient) -> dict[int, Document]:
    """The seeds as they are stored, in a namespace without an operator."""
    documents = enumerate(small_seeds())
    made = {number: one | {"metadata": {"name": f"stored-{number}"}} for number, one in documents}
    return {number: client.create(document, dry=False).document for number, document in made.items()}


@pytest.mark.parametrize("place", IMMUTABLE, ids=lambda place: place.name)
def test_an_edit_of_an_immutable_field_is_forbidden(
    client: BenchmarkClient, changes: dict[str, Change], stored_seeds: dict[int, Document], place: Place
) -> None:
    change = changes[place.name]
    stored = stored_seeds[change.seed]
    answer = client.replace(stored["metadata"]["name"], stored | {"spec": change.document["spec"]})
    assert answer.code == 422, answer.message
    forbidden = [cause["field"] for cause in answer.causes if cause["message"].startswith("Forbidden: immutable")]
    assert forbidden == [f"spec.{place.path[1]}"], answer.message


@pytest.mark.parametrize("place", EDITABLE, ids=lambda place: place.name)
def test_an_edit_of_a_mutable_field_is_accepted(
    client: BenchmarkClient, changes: dict[str, Change], stored_seeds: dict[int, Document], place: Place
) -> None:
    change = changes[place.name]
    stored = stored_seeds[change.seed]
    answer = client.replace(stored["metadata"]["name"], stored | {"spec": change.document["spec"]})
    assert answer.accepted, answer.message


def test_a_status_written_by_a_user_is_not_stored(client: BenchmarkClient) -> None:
    claimed = example_benchmark("claimed") | {"status": {"phase": "Succeeded", "observedGeneration": 1}}
    assert client.create(claimed).document["status"] == {"phase": "Pending", "observedGeneration": -1}


def test_an_unknown_field_of_the_status_is_not_stored(client: BenchmarkClient) -> None:
    stored = client.create(example_benchmark("pruned"), dry=False).document
    answer = client.replace_status("pruned", stored | {"status": {"phase": "Running", "walkedOffTheSchema": 1}})
    assert answer.accepted or 'unknown field "status.walkedOffTheSchema"' in answer.message
    assert "walkedOffTheSchema" not in client.read("pruned")["status"]


def test_unknown_fields_are_dropped_without_strict_validation(client: BenchmarkClient) -> None:
    answer = client.create(example_benchmark("lenient", walkedOffTheSchema=1), strict=False)
    assert answer.accepted
    assert "walkedOffTheSchema" not in answer.document["spec"]
