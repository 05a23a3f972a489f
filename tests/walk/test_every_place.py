"""Tests that every change of a spec is refused with its field's name, or can be run.

It walks the CRD's schema as Acto does (SOSP '23). It names no field, so a new one is covered without a change here.
"""

from collections.abc import Iterator

import pytest

from testkit.schema.mutations import Mutation, Place, mutations, placed
from testkit.schema.oracles import Consequences, refusal_flaw
from testkit.schema.seeds import PLACES, WHOLE, Bases
from testkit.server.client import Answer, BenchmarkClient

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]


def first_of_their_kind() -> Iterator[tuple[Place, bool]]:
    """Each place, and whether it is the first with its schema: only there all awkward texts are tried."""
    seen: set[str] = set()
    for place in PLACES:
        kind = repr({key: value for key, value in place.schema.items() if key not in ("default", "description")})
        yield place, kind not in seen
        seen.add(kind)


WALK = [pytest.param(place, new, id=place.name) for place, new in first_of_their_kind()]


@pytest.mark.parametrize(("place", "thorough"), WALK)
def test_each_change_is_refused_by_name_or_can_be_run(
    client: BenchmarkClient, bases: Bases, consequences: Consequences, place: Place, thorough: bool
) -> None:
    base = bases.of(place)
    answers = {
        mutation.name: (mutation, client.create(placed(base, WHOLE, place.path, mutation.value)))
        for mutation in mutations(place, thorough)
    }
    flaws = {
        name: flaw for name, (mutation, answer) in answers.items() if (flaw := judged(mutation, answer, consequences))
    }
    assert flaws == {}
    assert any(not answer.accepted for _, answer in answers.values()), "no change is refused"


def judged(mutation: Mutation, answer: Answer, consequences: Consequences) -> str:
    """What is wrong with the answer to a mutation; empty if nothing."""
    if not answer.accepted:
        return refusal_flaw(mutation, answer)
    return "it is accepted" if mutation.outside else consequences.flaw(answer)
