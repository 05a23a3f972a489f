"""Tests what happens to Benchmarks when policies are installed, changed and removed, or hold in some namespaces."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.support.admission import POLICY
from chart.support.rendering import Manifest, the
from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.observed_state import OperatorNamespace
from testkit.operators.operator_process import OperatorProcess, condition
from testkit.schema.policy_answers import BOUNDS, EFFECT_SECONDS, UNLISTED, Judge, policies, requested_benchmark
from testkit.server.examples import CreateBenchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]


STRICTER = BOUNDS | {"deviceHours": "4.5"}


@pytest.fixture
def judge(plane: ControlPlane, namespace: str, dry_run_namespace: str) -> Judge:
    return Judge(plane, namespace, dry_run_namespace)


@pytest.fixture
def release(plane: ControlPlane, namespace: str, judge: Judge) -> Iterator[tuple[Manifest, ...]]:
    """The policies of a release that watches the test's namespace only, not installed yet."""
    objects = policies(create_namespace(plane), {"default": BOUNDS}, (namespace,))
    yield objects
    judge.remove(objects, namespace)


def test_the_policies_of_a_release_hold_only_in_the_namespaces_that_it_watches(
    judge: Judge, namespace: str, dry_run_namespace: str, release: tuple[Manifest, ...]
) -> None:
    judge.install(release, namespace)
    assert judge.of(requested_benchmark(dry_run_namespace, UNLISTED, (8,))) == ""


def test_a_removed_policy_holds_again_when_it_is_installed_again(
    judge: Judge, namespace: str, release: tuple[Manifest, ...]
) -> None:
    for _ in range(2):
        judge.install(release, namespace)
        assert judge.of(requested_benchmark(namespace, deviceHours="5")) == ""
        judge.remove(release, namespace)


def test_a_changed_bound_holds_at_once(
    plane: ControlPlane, judge: Judge, namespace: str, release: tuple[Manifest, ...]
) -> None:
    judge.install(release, namespace)
    bounded = requested_benchmark(namespace, deviceHours="5")
    assert judge.of(bounded) == ""
    stricter = policies(the(release, POLICY)["metadata"]["name"].split(".")[0], {"default": STRICTER}, (namespace,))
    judge.install(stricter, namespace)
    until(lambda: "may cost 4.5 device-hours" in judge.of(bounded), EFFECT_SECONDS, "the bound to be heard of")


def test_a_policy_that_is_installed_during_a_sweep_stops_no_running_benchmark(
    judge: Judge,
    kubeconfig: Path,
    namespace: str,
    create_benchmark: CreateBenchmark,
    tmp_path: Path,
    release: tuple[Manifest, ...],
) -> None:
    over = False

    def until_released(run: RunConfig, index: int) -> End | None:
        return measured(run, index) if over else None

    with (
        Player(judge.plane.kubeconfig, namespace, until_released),
        OperatorProcess(kubeconfig, namespace, tmp_path / "log") as operator,
    ):
        place = OperatorNamespace(judge.plane, namespace, operator)
        create_benchmark(image=UNLISTED, devices={"counts": [8], "perPod": 8}, repeats={"min": 2})
        place.first_job()
        judge.install(release, namespace)
        over = True
        answer = place.wait_for("CleanedUp")
    assert condition(answer, "Complete")["status"] == "True"
    assert [row["phase"] for row in answer["status"]["trials"]] == ["Succeeded"] * 2
