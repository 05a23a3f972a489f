"""Tests that every change of a spec is refused with its field's name, or can be run.

A walk over the schema of the CRD after Acto (SOSP '23): it knows no field, so a new one is walked as it is.
"""

from collections.abc import Iterator

import pytest

from testkit.schema.mutations import Mutation, Place, mutations, placed
from testkit.schema.oracles import Consequences, refusal_flaw
from testkit.schema.seeds import PLACES, WHOLE, Bases
from testkit.server.answers import Answer, Asking

pytest_plugins = ["testkit.server.places", "testkit.schema.walks"]


def first_of_their_kind() -> Iterator[tuple[Place, bool]]:
    """Each place, and whether no place before takes just the same: only there every awkward text is tried."""
    seen: set[str] = set()
    for place in PLACES:
        kind = repr({key: value for key, value in place.schema.items() if key not in ("default", "description")})
        yield place, kind not in seen
        seen.add(kind)


WALK = [pytest.param(place, new, id=place.name) for place, new in first_of_their_kind()]


@pytest.mark.parametrize(("place", "thorough"), WALK)
def test_each_change_is_refused_by_name_or_can_be_asked(
    asking: Asking, bases: Bases, consequences: Consequences, place: Place, thorough: bool
) -> None:
    base = bases.of(place)
    answers = {
        mutation.name: (mutation, asking.create(placed(base, WHOLE, place.path, mutation.value)))
        for mutation in mutations(place, thorough)
    }
    flaws = {
        name: flaw for name, (mutation, answer) in answers.items() if (flaw := judged(mutation, answer, consequences))
    }
    assert flaws == {}
    assert any(not answer.taken for _, answer in answers.values()), "nothing is refused"


def judged(mutation: Mutation, answer: Answer, consequences: Consequences) -> str:
    """What is wrong with an answer."""
    if not answer.taken:
        return refusal_flaw(mutation, answer)
    return "it is taken" if mutation.outside else consequences.flaw(answer)
