"""Tests upgrade, rollback, uninstall and reinstall of a release in mid-sweep: training is not touched.

One sweep of two Trials lives through it all. Each Trial is held before its first step until what is done to the release
is done, so nothing here depends on who is faster. The other tests of this folder install with the defaults, apply the
example and read the answer; the namespace of their operator enforces restricted Pod Security, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.support.lives import LIMITS, TRAINER, few_devices
from cluster.support.object_history import Watch, watched
from cluster.support.releases import Pod, Release, as_it_is_now, held, let_go, without_the_operator_of_the_session
from cluster.support.scene import (
    apply,
    condition,
    make_restricted_namespace,
    pods_holding_devices,
    question,
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
PATIENT = {**LIMITS, "firstStepSeconds": 600, "totalSeconds": 900}
NOWHERE = ("--set-string", "nodeSelector.nowhere=true")
"""A value by which the operator finds no node: a mistake, in which nobody decides."""

Benchmark = dict[str, Any]


@dataclass(frozen=True)
class Colours:
    """Trainer images that differ: the default of the first release, of the second, and of the third."""

    blue: str
    green: str
    plain: str


@dataclass(frozen=True)
class Story:
    """What was seen on the way."""

    colours: Colours
    tested: str
    """What `helm test` said of the first release."""
    tiny: list[Benchmark]
    """The tiny Benchmark of the other release's test, from its creation to its deletion."""
    first: tuple[Pod, Pod]
    """The pod of Trial 0 before and after the upgrade during it."""
    second: tuple[Pod, Pod, Pod]
    """The pod of Trial 1 before the rollback, after it, and after the uninstallation."""
    born_between: int
    """Pods that had ever been when the second upgrade began, with Trial 0 over and no operator to start Trial 1."""
    newer: dict[str, str]
    """Images that Benchmarks were given which were asked after the upgrade and after the rollback."""
    remains: list[str]
    """Of the release, after its uninstallation."""
    orphan: Benchmark
    """The sweep while no operator was there, with Trial 1 over."""
    answer: Benchmark
    """The sweep at its end, under another release."""
    born: dict[str, str]
    """Every pod of the sweep."""


@pytest.fixture(scope="module")
def colours(cluster: Cluster) -> Colours:
    """Both hold each Trial; what else they do is the same."""
    blue, green = (
        trainer_with(cluster.containers, f"sdbench-trainer-{name}", MODEL_MODULE, f"# {name}\n{HOLDING}")
        for name in ("blue", "green")
    )
    return Colours(blue, green, cluster.images.trainer)


@pytest.fixture(scope="module")
def story(
    cluster: Cluster, prepared: None, colours: Colours, make_namespace_once: Callable[[str], None]
) -> Iterator[Story]:
    """The life of a release with a sweep in it, from its installation to the next one elsewhere."""
    make_namespace_once(NAMESPACE)
    release = Release(cluster)
    with without_the_operator_of_the_session(cluster), watched(cluster, NAMESPACE, "pods") as pods:
        release.install(colours.blue)
        tested = release.test()
        ask(cluster, "sweep", repeats={"min": 2})
        first, newer = upgraded_during_a_trial(release, pods, colours)
        born_between = upgraded_between_two(release, pods, first[1], colours)
        pair, newest = rolled_back_during_a_trial(release, pods)
        release.uninstall()
        left = as_it_is_now(cluster, pair[1])
        remains, orphan = release.remains(), without_an_operator(cluster, left)
        answer, tiny = found_by_another_release(cluster, colours)
        born = {uid: name for uid, name in pods.born().items() if name.startswith("sweep-")}
        images = {"after the upgrade": newer, "after the rollback": newest}
        second = (*pair, left)
        yield Story(colours, tested, tiny, first, second, born_between, images, remains, orphan, answer, born)


def upgraded_during_a_trial(release: Release, pods: Watch, colours: Colours) -> tuple[tuple[Pod, Pod], str]:
    """The pod of Trial 0 before and after, and the image of a Benchmark asked afterwards."""
    before = held(release.cluster, pods, "sweep", 0)
    release.upgrade(colours.green, "--wait")
    image = image_of_a_new_one(release.cluster, "after-upgrade")
    return (before, as_it_is_now(release.cluster, before)), image


def upgraded_between_two(release: Release, pods: Watch, trial: Pod, colours: Colours) -> int:
    """How many pods there had been before it: a mistaken upgrade left the release without an operator."""
    release.upgrade(colours.green, *NOWHERE)
    until(lambda: all("nodeName" not in pod["spec"] for pod in release.operators()), 60, "the operator to be gone")
    let_go(release.cluster, trial)
    until(lambda: terminated(as_it_is_now(release.cluster, trial)), 120, "Trial 0 to end")
    born = len([name for name in pods.born().values() if name.startswith("sweep-")])
    release.upgrade(colours.plain, "--wait")
    return born


def rolled_back_during_a_trial(release: Release, pods: Watch) -> tuple[tuple[Pod, Pod], str]:
    """The pod of Trial 1 before and after a rollback to the release of the first upgrade, and a new one's image."""
    before = held(release.cluster, pods, "sweep", 1)
    release.roll_back(2)
    image = image_of_a_new_one(release.cluster, "after-rollback")
    return (before, as_it_is_now(release.cluster, before)), image


def without_an_operator(cluster: Cluster, trial: Pod) -> Benchmark:
    """The sweep when its Trial has ended and nobody was there to see it."""
    let_go(cluster, trial)
    until(lambda: terminated(as_it_is_now(cluster, trial)), 120, "Trial 1 to end")
    return read(cluster, NAMESPACE, "sdb", "sweep")


def found_by_another_release(cluster: Cluster, colours: Colours) -> tuple[Benchmark, list[Benchmark]]:
    """The sweep when another release, elsewhere and with another default image, has seen to it; what its test ran."""
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


def ask(cluster: Cluster, name: str, **spec: Any) -> None:
    """A small question without an image: it gets the default of the release."""
    whole = {"data": None, "projection": None, "trainer": TRAINER, "limits": PATIENT, "devices": few_devices(1), **spec}
    apply(cluster, question(name, NAMESPACE, **whole))


def image_of_a_new_one(cluster: Cluster, name: str) -> str:
    """The image of the pod of a Benchmark that is asked now, by status and by pod; it is deleted then."""
    ask(cluster, name)
    pods = ("pods", "-l", f"sdbench.dev/benchmark={name}")
    (pod,) = until(lambda: read(cluster, NAMESPACE, *pods)["items"] or None, 60, f"the pod of {name}")
    resolved = read(cluster, NAMESPACE, "sdb", name)["status"]["resolved"]["image"]
    assert image_of(pod) == resolved
    cluster.kubectl("delete", "sdb", name, "-n", NAMESPACE)
    return str(resolved)


def image_of(pod: Pod) -> str:
    (container,) = pod["spec"]["containers"]
    return str(container["image"])


def life(pod: Pod) -> tuple[str, str, int]:
    """Which pod, which container of it runs, and for the how-manieth time."""
    (container,) = pod["status"]["containerStatuses"]
    assert "running" in container["state"], container
    return pod["metadata"]["uid"], container["containerID"], container["restartCount"]


def test_the_release_passes_its_own_test(story: Story) -> None:
    assert "Phase:          Succeeded" in story.tested


def test_the_other_release_measures_a_tiny_benchmark_when_its_test_is_told_to(story: Story) -> None:
    complete = [benchmark for benchmark in story.tiny if condition(benchmark, "Complete").get("status") == "True"]
    (row,) = complete[0]["status"]["trials"]
    assert float(row["measurement"]["imagesPerSecond"]) > 0


def test_an_upgrade_during_a_trial_touches_no_pod(story: Story) -> None:
    before, after = story.first
    assert life(after) == life(before)


def test_a_rollback_and_an_uninstallation_during_a_trial_touch_no_pod(story: Story) -> None:
    before, rolled_back, uninstalled = story.second
    assert life(rolled_back) == life(before)
    assert life(uninstalled) == life(before)


def test_the_second_upgrade_was_between_two_trials(story: Story) -> None:
    assert story.born_between == 1
    assert [name[-len("-0-1-master-0") :] for name in story.born.values()] == ["-0-1-master-0", "-1-1-master-0"]


def test_the_accepted_sweep_keeps_its_image_and_mixes_nothing(story: Story) -> None:
    status = story.answer["status"]
    assert status["resolved"]["image"] == story.colours.blue
    assert {image_of(pod) for pod in (*story.first, *story.second)} == {story.colours.blue}
    assert len(status["environments"]) == 1
    assert condition(story.answer, "Complete")["reason"] == "Measured"


def test_who_asks_after_an_upgrade_or_a_rollback_gets_its_image(story: Story) -> None:
    assert story.newer == dict.fromkeys(("after the upgrade", "after the rollback"), story.colours.green)


def test_an_uninstallation_leaves_the_benchmarks_and_nothing_else(story: Story) -> None:
    assert story.remains == []
    assert [row["phase"] for row in story.orphan["status"]["trials"]] == ["Succeeded", "Running"]


def test_another_release_finds_the_benchmark_and_what_ended_meanwhile(story: Story) -> None:
    assert story.answer["metadata"]["uid"] == story.orphan["metadata"]["uid"]
    rows = story.answer["status"]["trials"]
    assert [(row["phase"], row["attempt"], row.get("failures", 0)) for row in rows] == [("Succeeded", 1, 0)] * 2
    assert all(float(row["measurement"]["imagesPerSecond"]) > 0 for row in rows)


def test_it_leaves_nothing_that_holds_a_device(cluster: Cluster, story: Story) -> None:
    assert pods_holding_devices(cluster, NAMESPACE) == []
    assert read(cluster, NAMESPACE, "pytorchjobs")["items"] == []
