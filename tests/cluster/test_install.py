"""Tests upgrade, rollback, uninstall and reinstall of a release in mid-sweep: training is not touched.

One sweep of two Trials runs through all of it. Each Trial is held before its first step until the change of the release
is done, so the tests do not depend on timing. The other tests of this folder install with the defaults, apply the
example and read the result; their operator's namespace enforces restricted Pod Security, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.support.broken_run import LIMITS, TRAINER, few_devices
from cluster.support.object_history import Watch, watched
from cluster.support.releases import Pod, Release, current, resume_trial, wait_until_held, without_session_operator
from cluster.support.user import (
    apply,
    condition,
    example_benchmark,
    make_restricted_namespace,
    pods_holding_devices,
    read,
    terminated,
    wait_for,
)
from harness.cluster import Cluster
from harness.images.derived import MODEL_MODULE, trainer_with
from harness.polling import until

NAMESPACE = "swept"
ELSEWHERE = "elsewhere"
HOLDING = (Path(__file__).parent / "support" / "holding.py").read_text()
LONG_LIMITS = {**LIMITS, "firstStepSeconds": 600, "totalSeconds": 900}
NOWHERE = ("--set-string", "nodeSelector.nowhere=true")
"""A wrong value, with which the operator's pod finds no node, so that no operator runs."""

Benchmark = dict[str, Any]


@dataclass(frozen=True)
class Colours:
    """Different trainer images: the default of the first, second and third revision of the release."""

    blue: str
    green: str
    plain: str


@dataclass(frozen=True)
class ReleaseHistory:
    """What was observed from the installation to the end."""

    colours: Colours
    tested: str
    """The output of `helm test` for the first revision."""
    tiny: list[Benchmark]
    """The tiny Benchmark of the other release's test, from its creation to its deletion."""
    first: tuple[Pod, Pod]
    """The pod of Trial 0 before and after the upgrade during it."""
    second: tuple[Pod, Pod, Pod]
    """The pod of Trial 1 before the rollback, after it, and after the uninstallation."""
    created_between: int
    """How many pods had existed before the second upgrade, with Trial 0 over and no operator to start Trial 1."""
    newer: dict[str, str]
    """Images of Benchmarks that were created after the upgrade and after the rollback."""
    remains: list[str]
    """What remains of the release after its uninstallation."""
    orphan: Benchmark
    """The sweep without an operator, after the end of Trial 1."""
    answer: Benchmark
    """The sweep at its end, with another release's operator."""
    created: dict[str, str]
    """Every pod that the sweep ever had: UID → name."""


@pytest.fixture(scope="module")
def colours(cluster: Cluster) -> Colours:
    """The three images; blue and green hold each Trial, and differ only in a comment."""
    blue, green = (
        trainer_with(cluster.containers, f"sdbench-trainer-{name}", MODEL_MODULE, f"# {name}\n{HOLDING}")
        for name in ("blue", "green")
    )
    return Colours(blue, green, cluster.images.trainer)


@pytest.fixture(scope="module")
def history(
    cluster: Cluster, prepared: None, colours: Colours, make_namespace_once: Callable[[str], None]
) -> Iterator[ReleaseHistory]:
    """Installs, upgrades, rolls back and uninstalls a release during a sweep, and installs another one elsewhere."""
    make_namespace_once(NAMESPACE)
    release = Release(cluster)
    with without_session_operator(cluster), watched(cluster, NAMESPACE, "pods") as pods:
        release.install(colours.blue)
        tested = release.test()
        create(cluster, "sweep", repeats={"min": 2})
        first, newer = upgraded_during_a_trial(release, pods, colours)
        created_between = upgraded_between_two(release, pods, first[1], colours)
        pair, newest = rolled_back_during_a_trial(release, pods)
        release.uninstall()
        left = current(cluster, pair[1])
        remains, orphan = release.remains(), without_an_operator(cluster, left)
        answer, tiny = found_by_another_release(cluster, colours)
        created = {uid: name for uid, name in pods.created().items() if name.startswith("sweep-")}
        images = {"after the upgrade": newer, "after the rollback": newest}
        second = (*pair, left)
        yield ReleaseHistory(
            colours, tested, tiny, first, second, created_between, images, remains, orphan, answer, created
        )


def upgraded_during_a_trial(release: Release, pods: Watch, colours: Colours) -> tuple[tuple[Pod, Pod], str]:
    """The pod of Trial 0 before and after an upgrade, and the image of a Benchmark created afterwards."""
    before = wait_until_held(release.cluster, pods, "sweep", 0)
    release.upgrade(colours.green, "--wait")
    image = image_of_a_new_one(release.cluster, "after-upgrade")
    return (before, current(release.cluster, before)), image


def upgraded_between_two(release: Release, pods: Watch, trial: Pod, colours: Colours) -> int:
    """Upgrades while no operator runs, after a wrong upgrade; returns how many pods had existed before."""
    release.upgrade(colours.green, *NOWHERE)
    until(lambda: all("nodeName" not in pod["spec"] for pod in release.operators()), 60, "the operator to be gone")
    resume_trial(release.cluster, trial)
    until(lambda: terminated(current(release.cluster, trial)), 120, "Trial 0 to end")
    created = len([name for name in pods.created().values() if name.startswith("sweep-")])
    release.upgrade(colours.plain, "--wait")
    return created


def rolled_back_during_a_trial(release: Release, pods: Watch) -> tuple[tuple[Pod, Pod], str]:
    """The pod of Trial 1 before and after a rollback to the first upgrade, and the image of a new Benchmark."""
    before = wait_until_held(release.cluster, pods, "sweep", 1)
    release.roll_back(2)
    image = image_of_a_new_one(release.cluster, "after-rollback")
    return (before, current(release.cluster, before)), image


def without_an_operator(cluster: Cluster, trial: Pod) -> Benchmark:
    """The sweep after its Trial has ended without an operator."""
    resume_trial(cluster, trial)
    until(lambda: terminated(current(cluster, trial)), 120, "Trial 1 to end")
    return read(cluster, NAMESPACE, "sdb", "sweep")


def found_by_another_release(cluster: Cluster, colours: Colours) -> tuple[Benchmark, list[Benchmark]]:
    """The sweep, finished by another release with another default image, and the Benchmark of that release's test."""
    make_restricted_namespace(cluster, ELSEWHERE)
    other = Release(cluster, "other", ELSEWHERE)
    other.install(colours.plain, "--set", "test.benchmark=true")
    wait_for(cluster, NAMESPACE, "sweep", "Complete", 120)
    answer = wait_for(cluster, NAMESPACE, "sweep", "CleanedUp", 60)
    with watched(cluster, ELSEWHERE, "sdb") as benchmarks:
        other.test()
        until(lambda: benchmarks.events()[-1]["type"] == "DELETED", 60, "the tiny Benchmark to be deleted")
        tiny = [event["object"] for event in benchmarks.events()]
    other.uninstall()
    return answer, tiny


def create(cluster: Cluster, name: str, **spec: Any) -> None:
    """Creates a small Benchmark without an image, which gets the release's default."""
    whole = {
        "data": None,
        "projection": None,
        "trainer": TRAINER,
        "limits": LONG_LIMITS,
        "devices": few_devices(1),
        **spec,
    }
    apply(cluster, example_benchmark(name, NAMESPACE, **whole))


def image_of_a_new_one(cluster: Cluster, name: str) -> str:
    """The image of a new Benchmark, which is the same in its status and its pod; deletes it afterwards."""
    create(cluster, name)
    pods = ("pods", "-l", f"sdbench.dev/benchmark={name}")
    (pod,) = until(lambda: read(cluster, NAMESPACE, *pods)["items"] or None, 60, f"the pod of {name}")
    resolved = read(cluster, NAMESPACE, "sdb", name)["status"]["resolved"]["image"]
    assert image_of(pod) == resolved
    cluster.kubectl("delete", "sdb", name, "-n", NAMESPACE)
    return str(resolved)


def image_of(pod: Pod) -> str:
    (container,) = pod["spec"]["containers"]
    return str(container["image"])


def identity(pod: Pod) -> tuple[str, str, int]:
    """The pod's UID, its running container's ID, and the number of restarts."""
    (container,) = pod["status"]["containerStatuses"]
    assert "running" in container["state"], container
    return pod["metadata"]["uid"], container["containerID"], container["restartCount"]


def test_the_release_passes_its_own_test(history: ReleaseHistory) -> None:
    assert "Phase:          Succeeded" in history.tested


def test_the_other_release_measures_a_tiny_benchmark_in_its_test(history: ReleaseHistory) -> None:
    complete = [benchmark for benchmark in history.tiny if condition(benchmark, "Complete").get("status") == "True"]
    (row,) = complete[0]["status"]["trials"]
    assert float(row["measurement"]["imagesPerSecond"]) > 0


def test_an_upgrade_during_a_trial_touches_no_pod(history: ReleaseHistory) -> None:
    before, after = history.first
    assert identity(after) == identity(before)


def test_a_rollback_and_an_uninstallation_during_a_trial_touch_no_pod(history: ReleaseHistory) -> None:
    before, rolled_back, uninstalled = history.second
    assert identity(rolled_back) == identity(before)
    assert identity(uninstalled) == identity(before)


def test_the_second_upgrade_was_between_the_two_trials(history: ReleaseHistory) -> None:
    assert history.created_between == 1
    assert [name[-len("-0-1-master-0") :] for name in history.created.values()] == ["-0-1-master-0", "-1-1-master-0"]


def test_the_accepted_sweep_keeps_its_image_and_has_one_environment(history: ReleaseHistory) -> None:
    status = history.answer["status"]
    assert status["resolved"]["image"] == history.colours.blue
    assert {image_of(pod) for pod in (*history.first, *history.second)} == {history.colours.blue}
    assert len(status["environments"]) == 1
    assert condition(history.answer, "Complete")["reason"] == "Measured"


def test_a_benchmark_after_an_upgrade_or_a_rollback_gets_that_releases_image(history: ReleaseHistory) -> None:
    assert history.newer == dict.fromkeys(("after the upgrade", "after the rollback"), history.colours.green)


def test_an_uninstallation_leaves_only_the_benchmarks(history: ReleaseHistory) -> None:
    assert history.remains == []
    assert [row["phase"] for row in history.orphan["status"]["trials"]] == ["Succeeded", "Running"]


def test_another_release_finds_the_benchmark_and_the_trial_that_ended_meanwhile(history: ReleaseHistory) -> None:
    assert history.answer["metadata"]["uid"] == history.orphan["metadata"]["uid"]
    rows = history.answer["status"]["trials"]
    assert [(row["phase"], row["attempt"], row.get("failures", 0)) for row in rows] == [("Succeeded", 1, 0)] * 2
    assert all(float(row["measurement"]["imagesPerSecond"]) > 0 for row in rows)


def test_nothing_is_left_that_holds_a_device(cluster: Cluster, history: ReleaseHistory) -> None:
    assert pods_holding_devices(cluster, NAMESPACE) == []
    assert read(cluster, NAMESPACE, "pytorchjobs")["items"] == []
