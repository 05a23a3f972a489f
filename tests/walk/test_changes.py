"""Tests that every field of a spec changes what a real operator runs or reports.

Jobs show most fields as soon as they are created; the others are played to their end; the rest has a word why not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.cluster.scripted_pods import Player
from testkit.operators.outcomes import Outcome, ended, outcome, seen, settled
from testkit.schema.mutations import Place
from testkit.schema.seeds import FIELDS, Change, small_seeds
from testkit.server.answers import Asking
from testkit.server.namespaces import made_namespace

pytest_plugins = ["testkit.server.places", "testkit.schema.walks"]

SECONDS = 180
UNSEEN = {
    "spec.limits.queuedSeconds": "a bound that is not reached",
    "spec.limits.teardownSeconds": "a bound that is not reached",
    "spec.limits.gangSeconds": "a bound that is not reached",
    "spec.limits.deviceHours": "a bound that is not reached",
    "spec.limits.cost": "a bound that is not reached",
    "spec.retention.failedSeconds": "only a failed Attempt's job is kept",
    "spec.ttlSecondsAfterFinished": "counts from the end",
    "spec.projection.stages[0].imageSize": "its seed says the rate of that stage, at whatever size",
    "spec.repeats.targetCoefficientOfVariation": "the played repeats are all equal, and so tight enough for any",
}
"""Fields that need not show, each with a word why."""


@dataclass
class Walk:
    """What became of the seeds and of each change."""

    seeds: dict[int, Outcome] = field(default_factory=dict)
    changes: dict[str, tuple[int, Outcome]] = field(default_factory=dict)

    def shows(self, place: Place) -> bool:
        seed, found = self.changes[place.name]
        return found != self.seeds[seed]


@pytest.fixture(scope="module")
def begun(plane: ControlPlane, operating: Path, changes: dict[str, Change]) -> Walk:
    """Every change and every seed, once all their jobs were created; nothing runs."""
    asking = Asking(plane.kubeconfig, made_namespace(plane))
    _ask(asking, changes.values())

    def all_settled() -> Walk | None:
        benchmarks, jobs = seen(asking)
        done = all(settled(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks)
        return _walk(benchmarks, jobs, changes) if done else None

    walk = until(all_settled, SECONDS, "every question to be looked at")
    asking.delete_benchmarks()
    return walk


@pytest.fixture(scope="module")
def over(plane: ControlPlane, operating: Path, changes: dict[str, Change], begun: Walk) -> Walk:
    """What is not seen at the beginning, played to its end."""
    asking = Asking(plane.kubeconfig, made_namespace(plane))
    rest = {name: change for name, change in changes.items() if not begun.shows(change.place) and name not in UNSEEN}
    with Player(plane.kubeconfig, asking.namespace):
        _ask(asking, rest.values())

        def all_ended() -> list[dict[str, Any]] | None:
            benchmarks, _ = seen(asking)
            return benchmarks if all(map(ended, benchmarks)) else None

        return _walk(until(all_ended, SECONDS, "every question to end"), {}, rest)


def _ask(asking: Asking, changes: Iterable[Change]) -> None:
    for number, document in enumerate(small_seeds()):
        assert asking.create(document | {"metadata": {"name": f"seed-{number}"}}, dry=False).taken
    for change in changes:
        assert asking.create(change.document, dry=False).taken


def _walk(benchmarks: list[dict[str, Any]], jobs: dict[str, list[dict[str, Any]]], changes: dict[str, Change]) -> Walk:
    found = {one["metadata"]["name"]: outcome(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks}
    seeds = {number: found[f"seed-{number}"] for number, _ in enumerate(small_seeds())}
    return Walk(seeds, {name: (change.seed, found[change.name]) for name, change in changes.items()})


@pytest.mark.parametrize("place", FIELDS, ids=lambda place: place.name)
def test_a_change_comes_to_a_clear_state(begun: Walk, place: Place) -> None:
    _, found = begun.changes[place.name]
    status, reason = found.condition_reasons["Accepted"]
    assert status in ("True", "False")
    assert reason


@pytest.mark.parametrize("place", FIELDS, ids=lambda place: place.name)
def test_a_change_shows_in_the_job_or_in_the_answer(begun: Walk, over: Walk, place: Place) -> None:
    if place.name in UNSEEN:
        assert not begun.shows(place), "it shows: take it from the list"
    else:
        assert begun.shows(place) or over.shows(place)
