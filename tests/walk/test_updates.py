"""Tests that a Benchmark is as before once an edit of it is reverted.

For every mutable field, in every state of a Benchmark: edit, wait until nothing changes, compare, revert, compare. What
the edit has ended stays ended; everything else must be as before (the differential oracle of Acto).
"""

import copy
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench.api.names import ATTEMPT_LABEL
from testkit.cluster.scripted_pods import Player, Script, measured
from testkit.operators.outcomes import (
    Document,
    Outcome,
    benchmarks_and_jobs,
    by_benchmark,
    is_finished,
    is_observed,
    outcome,
)
from testkit.schema.mutations import Place, placed
from testkit.schema.samples import samples
from testkit.schema.seeds import FIELDS, MUTABLE, WHOLE
from testkit.server.client import Answer, BenchmarkClient
from testkit.server.examples import example_benchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]

SECONDS = 180
ONE_WAY = "spec.cancel"
EXPIRES = "spec.ttlSecondsAfterFinished"
OLD_ENOUGH = timedelta(seconds=3)
"""The minimum age of a running Attempt: the shortest totalSeconds is then over, and acts at once."""

SHOWN = {"waiting": {"spec.suspend", "spec.cancel"}, "over": set[str]()}
SHOWN["running"] = SHOWN["waiting"] | {"spec.limits.totalSeconds"}
"""State → the fields whose edits must have a visible effect; otherwise the walk would prove nothing."""

GONE = Outcome({}, ())


@dataclass(frozen=True)
class State:
    """A state in which Benchmarks are edited: their spec, what their pods do, and when they have reached it."""

    spec: dict[str, Any]
    script: Script
    reached: Callable[[Document], bool]


def runs(benchmark: Document) -> bool:
    """Whether all Trials run."""
    rows = benchmark["status"].get("trials") or [{}]
    return all(row.get("phase") == "Running" for row in rows)


STATES = {
    "waiting": State({"suspend": True}, lambda _run, _index: None, is_finished),
    "running": State({}, lambda _run, _index: None, runs),
    "over": State({}, measured, is_finished),
}


@dataclass(frozen=True)
class Edit:
    """Another value for a mutable field, and the name of the Benchmark that gets it."""

    place: Place
    value: Any
    name: str


@dataclass
class EditHistory:
    """The Outcomes before an edit, with it, and after its revert; `refusal` says why the revert was refused."""

    before: Outcome
    edited: Outcome = GONE
    after: Outcome = GONE
    refusal: str = ""


def edits() -> Iterable[Edit]:
    """Two values of each mutable field: a strict one and a lenient one."""
    number = 0
    for place in FIELDS:
        if place.path[1] in MUTABLE:
            values = samples(place.schema)
            mild = max(values) if place.schema["type"] == "integer" else values[0]
            for value in dict.fromkeys([values[-1], mild]):
                number += 1
                yield Edit(place, value, f"edit-{number}")


EDITS = tuple(edits())


@pytest.fixture(scope="module", params=STATES)
def histories(plane: ControlPlane, running_operator: Path, request: pytest.FixtureRequest) -> dict[str, EditHistory]:
    """The Story of each edit in one state, by name."""
    state, client = STATES[request.param], BenchmarkClient(plane.kubeconfig, create_namespace(plane))
    with Player(plane.kubeconfig, client.namespace, state.script):
        for edit in EDITS:
            counts = example_benchmark()["spec"]["devices"] | {"counts": [1]}
            document = example_benchmark(edit.name, devices=counts, limits={}, **state.spec)
            assert client.create(document, dry=False).accepted
        before = _when(client, lambda one: state.reached(one) and _is_old(one))
        found = {name: EditHistory(outcome) for name, outcome in before.items()}
        originals = {edit.name: client.read(edit.name)["spec"] for edit in EDITS}
        for edit in EDITS:
            edited = placed({"spec": originals[edit.name]}, WHOLE, edit.place.path, edit.value)
            answer = _rewritten(client, edit.name, edited["spec"])
            assert answer.accepted, answer.message
        _record(found, "edited", _when(client, lambda one: True))
        for edit in EDITS:
            if found[edit.name].edited != GONE:
                answer = _rewritten(client, edit.name, originals[edit.name])
                found[edit.name].refusal = "" if answer.accepted else answer.message
        _record(found, "after", _when(client, lambda one: True))
    client.delete_benchmarks()
    return found


def _record(histories: dict[str, EditHistory], step: str, outcomes: dict[str, Outcome]) -> None:
    for name, history in histories.items():
        setattr(history, step, outcomes.get(name, GONE))


def _rewritten(client: BenchmarkClient, name: str, spec: Document) -> Answer:
    """Replaces the spec; meanwhile the operator writes only the status."""
    stored = client.read(name)
    return client.replace(name, stored | {"spec": spec}, dry=False)


def _when(client: BenchmarkClient, reached: Callable[[Document], bool]) -> dict[str, Outcome]:
    """Waits until all Benchmarks have reached a state and nothing changes; returns their Outcomes."""

    def still() -> dict[str, Outcome] | None:
        benchmarks, jobs = benchmarks_and_jobs(client)
        pods = by_benchmark(client.listed("pods"))
        for one in benchmarks:
            name = one["metadata"]["name"]
            if not (reached(one) and _is_still(one, jobs.get(name, []), pods.get(name, []))):
                return None
        return {
            one["metadata"]["name"]: _masked(outcome(one, jobs.get(one["metadata"]["name"], ()))) for one in benchmarks
        }

    return until(still, SECONDS, "every Benchmark to stop changing")


def _is_still(benchmark: Document, jobs: list[Document], pods: list[Document]) -> bool:
    """Whether every row waits, runs or has ended, only running rows have jobs and pods, and the status is final."""
    rows = benchmark["status"].get("trials", ())
    running = {row["job"] for row in rows if row["phase"] == "Running"}
    moving = [row for row in rows if row["phase"] in ("Starting", "Stopping")]
    pending = [row for row in rows if row["phase"] == "Pending" and not benchmark["spec"]["suspend"]]
    there = {job["metadata"]["name"] for job in jobs}
    if any(row["phase"] in ("Succeeded", "Failed") for row in rows) and not is_finished(benchmark):
        return False
    return (
        is_observed(benchmark, jobs) and not moving and not pending and there == running and len(pods) == len(running)
    )


def _is_old(benchmark: Document) -> bool:
    """Whether every running Attempt is old enough; the scripted kubelet uses this machine's clock."""
    started = [row["startedAt"] for row in benchmark["status"].get("trials", ()) if row["phase"] == "Running"]
    now = datetime.now(UTC)
    return all(now - datetime.fromisoformat(moment) > OLD_ENOUGH for moment in started)


def _masked(found: Outcome) -> Outcome:
    """The Outcome without Attempts' numbers, and without why the previous Attempt of an unfinished Trial was void."""
    status, jobs = copy.deepcopy((found.status, found.jobs))
    for row in status.get("trials", ()):
        for name in ("job", "attempt", *(("reason", "message") if row["phase"] in ("Pending", "Running") else ())):
            row.pop(name, None)
    for job in jobs:
        job.pop("attempt")
    return Outcome(*(_unnumbered(part) for part in (status, jobs)))


def _unnumbered(part: Any) -> Any:
    text = re.sub(r"(NAME-UID-\d+)-\d+", r"\1-N", json.dumps(part))
    text = re.sub(rf'("{ATTEMPT_LABEL}": )"\d+"', r'\1"N"', text)
    return json.loads(re.sub(r"attempt \d+", "attempt N", text))


def is_over(found: Outcome) -> bool:
    return any(found.holds(kind) for kind in ("Complete", "Failed"))


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.place.name}={edit.value}")
def test_a_reverted_edit_leaves_nothing_behind(histories: dict[str, EditHistory], edit: Edit) -> None:
    history = histories[edit.name]
    if edit.place.name == EXPIRES and edit.value == 0 and history.after == GONE:
        return  # it had ended and was deleted at once, maybe before the edit could be reverted
    assert "Accepted" in history.edited.condition_reasons
    if history.refusal:
        assert edit.place.name == ONE_WAY
        assert f"{ONE_WAY}: Invalid value: one-way" in history.refusal
    if history.refusal or (is_over(history.edited) and not is_over(history.before)):
        assert history.after == history.edited.planned_as(history.after if history.refusal else history.before)
    else:
        assert history.after == history.before


def test_the_edits_that_matter_in_a_state_have_an_effect(
    histories: dict[str, EditHistory], request: pytest.FixtureRequest
) -> None:
    shown = {edit.place.name for edit in EDITS if histories[edit.name].edited != histories[edit.name].before}
    state = request.node.callspec.params["histories"]
    assert shown >= SHOWN[state], shown
