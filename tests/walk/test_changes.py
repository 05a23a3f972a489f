"""Tests that every field of a spec changes what a real operator runs or reports.

Most fields show in the jobs as soon as these are created; others show at the end. UNSEEN has a reason for the rest.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.cluster.scripted_pods import Player
from testkit.operators.outcomes import Outcome, benchmarks_and_jobs, is_finished, is_observed, outcome
from testkit.schema.mutations import Place
from testkit.schema.seeds import FIELDS, Change, small_seeds
from testkit.server.client import BenchmarkClient
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]

SECONDS = 180
UNSEEN = {
    "spec.limits.queuedSeconds": "a limit that is not reached",
    "spec.limits.teardownSeconds": "a limit that is not reached",
    "spec.limits.gangSeconds": "a limit that is not reached",
    "spec.limits.deviceHours": "a limit that is not reached",
    "spec.limits.cost": "a limit that is not reached",
    "spec.retention.failedSeconds": "only a failed Attempt's job is kept",
    "spec.ttlSecondsAfterFinished": "counts from the end",
    "spec.projection.stages[0].imageSize": "its seed gives the stage's rate, whatever its size",
    "spec.repeats.targetCoefficientOfVariation": "the scripted repeats are all equal, and so converged at any value",
}
"""Fields that need not show → why."""


@dataclass
class Walk:
    """The Outcome of each seed and of each change."""

    seeds: dict[int, Outcome] = field(default_factory=dict)
    changes: dict[str, tuple[int, Outcome]] = field(default_factory=dict)

    def shows(self, place: Place) -> bool:
        seed, found = self.changes[place.name]
        return found != self.seeds[seed]


@pytest.fixture(scope="module")
def started(plane: ControlPlane, running_operator: Path, changes: dict[str, Change]) -> Walk:
    """The Walk once all jobs of all changes and seeds are created; none of them runs."""
    client = BenchmarkClient(plane.kubeconfig, create_namespace(plane))
    _create(client, changes.values())

    def all_observed() -> Walk | None:
        benchmarks, jobs = benchmarks_and_jobs(client)
        done = all(is_observed(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks)
        return _walk(benchmarks, jobs, changes) if done else None

    walk = until(all_observed, SECONDS, "every Benchmark to be observed")
    client.delete_benchmarks()
    return walk


@pytest.fixture(scope="module")
def over(plane: ControlPlane, running_operator: Path, changes: dict[str, Change], started: Walk) -> Walk:
    """The Walk of the changes that do not show at the start, at the end of their runs."""
    client = BenchmarkClient(plane.kubeconfig, create_namespace(plane))
    rest = {name: change for name, change in changes.items() if not started.shows(change.place) and name not in UNSEEN}
    with Player(plane.kubeconfig, client.namespace):
        _create(client, rest.values())

        def all_ended() -> list[dict[str, Any]] | None:
            benchmarks, _ = benchmarks_and_jobs(client)
            return benchmarks if all(map(is_finished, benchmarks)) else None

        return _walk(until(all_ended, SECONDS, "every Benchmark to end"), {}, rest)


def _create(client: BenchmarkClient, changes: Iterable[Change]) -> None:
    for number, document in enumerate(small_seeds()):
        assert client.create(document | {"metadata": {"name": f"seed-{number}"}}, dry=False).accepted
    for change in changes:
        assert client.create(change.document, dry=False).accepted


def _walk(benchmarks: list[dict[str, Any]], jobs: dict[str, list[dict[str, Any]]], changes: dict[str, Change]) -> Walk:
    found = {one["metadata"]["name"]: outcome(one, jobs.get(one["metadata"]["name"], ())) for one in benchmarks}
    seeds = {number: found[f"seed-{number}"] for number, _ in enumerate(small_seeds())}
    return Walk(seeds, {name: (change.seed, found[change.name]) for name, change in changes.items()})


@pytest.mark.parametrize("place", FIELDS, ids=lambda place: place.name)
def test_a_change_is_accepted_or_refused_with_a_reason(started: Walk, place: Place) -> None:
    _, found = started.changes[place.name]
    status, reason = found.condition_reasons["Accepted"]
    assert status in ("True", "False")
    assert reason


@pytest.mark.parametrize("place", FIELDS, ids=lambda place: place.name)
def test_a_change_shows_in_the_jobs_or_in_the_status(started: Walk, over: Walk, place: Place) -> None:
    if place.name in UNSEEN:
        assert not started.shows(place), "it shows: remove it from UNSEEN"
    else:
        assert started.shows(place) or over.shows(place)
