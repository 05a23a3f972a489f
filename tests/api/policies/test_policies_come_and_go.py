"""Tests what becomes of Benchmarks when policies come, change and go, or hold in some namespaces only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.support.admission import POLICY
from chart.support.rendering import Manifest, the
from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import Place
from testkit.operators.operator_process import OperatorProcess, condition
from testkit.schema.policy_answers import BOUNDS, HEARD, UNLISTED, Judge, asks, policies
from testkit.server.namespaces import made_namespace
from testkit.server.questions import Asked

pytest_plugins = ["testkit.server.places"]


STRICTER = BOUNDS | {"deviceHours": "4.5"}


@pytest.fixture
def judge(plane: ControlPlane, namespace: str, nowhere: str) -> Judge:
    return Judge(plane, namespace, nowhere)


@pytest.fixture
def release(plane: ControlPlane, namespace: str, judge: Judge) -> Iterator[tuple[Manifest, ...]]:
    """The policies of a release that watches the test's namespace only; installed by the test."""
    objects = policies(made_namespace(plane), {"default": BOUNDS}, (namespace,))
    yield objects
    judge.remove(objects, namespace)


def test_a_release_that_watches_some_namespaces_judges_in_those_only(
    judge: Judge, namespace: str, nowhere: str, release: tuple[Manifest, ...]
) -> None:
    judge.install(release, namespace)
    assert judge.of(asks(nowhere, UNLISTED, (8,))) == ""


def test_a_policy_that_was_taken_away_holds_again_when_it_comes_back(
    judge: Judge, namespace: str, release: tuple[Manifest, ...]
) -> None:
    for _ in range(2):
        judge.install(release, namespace)
        assert judge.of(asks(namespace, deviceHours="5")) == ""
        judge.remove(release, namespace)


def test_a_bound_that_is_changed_holds_at_once(
    plane: ControlPlane, judge: Judge, namespace: str, release: tuple[Manifest, ...]
) -> None:
    judge.install(release, namespace)
    bounded = asks(namespace, deviceHours="5")
    assert judge.of(bounded) == ""
    stricter = policies(the(release, POLICY)["metadata"]["name"].split(".")[0], {"default": STRICTER}, (namespace,))
    judge.install(stricter, namespace)
    until(lambda: "may cost 4.5 device-hours" in judge.of(bounded), HEARD, "the bound to be heard of")


def test_a_policy_that_comes_in_mid_sweep_stops_nothing_that_runs(
    judge: Judge, kubeconfig: Path, namespace: str, asked: Asked, tmp_path: Path, release: tuple[Manifest, ...]
) -> None:
    over = False

    def until_told(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if over else None

    with (
        Player(judge.plane.kubeconfig, namespace, until_told),
        OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator,
    ):
        place = Place(judge.plane, namespace, operator)
        asked(image=UNLISTED, devices={"counts": [8], "perPod": 8}, repeats={"min": 2})
        place.first_job()
        judge.install(release, namespace)
        over = True
        answer = place.wait_for("CleanedUp")
    assert condition(answer, "Complete")["status"] == "True"
    assert [row["phase"] for row in answer["status"]["trials"]] == ["Succeeded"] * 2
