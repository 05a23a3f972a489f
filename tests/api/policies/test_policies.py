"""Tests on a real API server which Benchmarks the chart's policies admit and refuse."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chart.support.admission import POLICY
from chart.support.rendering import Manifest
from harness.control_plane.components import ControlPlane
from harness.polling import until
from testkit.operators.operator_process import apply
from testkit.schema.policy_answers import BOUNDS, UNLISTED, Judge, policies, requested_benchmark
from testkit.server.namespaces import create_namespace

pytest_plugins = ["testkit.server.fixtures"]

DIGEST = "@sha256:" + 64 * "a"
OWN = {"maxDevices": 8, "deviceHours": "50.5"}


@pytest.fixture(scope="module")
def others(plane: ControlPlane) -> str:
    """A namespace with the default bounds."""
    return create_namespace(plane)


@pytest.fixture(scope="module")
def team(plane: ControlPlane) -> str:
    """A namespace with bounds of its own."""
    return create_namespace(plane)


@pytest.fixture(scope="module")
def free(plane: ControlPlane) -> str:
    """A namespace without bounds."""
    return create_namespace(plane)


@pytest.fixture(scope="module")
def judge(plane: ControlPlane, others: str, team: str, free: str) -> Iterator[Judge]:
    """The policies in the whole cluster. `unbounded` and `bounded` are Benchmarks that existed before them."""
    judge = Judge(plane, others, team, free)
    apply(plane, requested_benchmark(others, UNLISTED, (8,), name="unbounded"))
    apply(plane, requested_benchmark(others, UNLISTED, (8,), name="bounded", maxDevices=8, deviceHours="100"))
    objects = policies(
        create_namespace(plane), {"default": BOUNDS, "namespaces": {team: OWN, free: {}, "other": BOUNDS}}
    )
    judge.install(objects, others, team)
    apply(plane, requested_benchmark(others, None, (4,), name="modest", maxDevices=4, deviceHours="5"))
    apply(plane, requested_benchmark(others, None, (4,), 2, name="wide", maxDevices=4, deviceHours="5"))
    yield judge
    judge.remove(objects, others, team)


ADMITTED_IMAGES = [
    *(None, "ghcr.io/sdbench/trainer", "ghcr.io/sdbench/trainer:0.1.0", f"ghcr.io/sdbench/trainer{DIGEST}"),
    *(f"ghcr.io/sdbench/trainer:0.1.0{DIGEST}", "registry.example:5000/team/a", "registry.example:5000/team/a/b:c"),
]
REFUSED_IMAGES = [
    *("ghcr.io/sdbench", "ghcr.io/sdbench-evil", "ghcr.io/sdbench/trainer-evil", "ghcr.io/sdbench/trainer/evil:1"),
    *("ghcr.io.evil.example/sdbench/trainer", f"evil.example/ghcr.io/sdbench/trainer{DIGEST}", "trainer:0.1.0"),
    *("ghcr.io:443/sdbench/trainer:1", "ghcr.io/sdbench/trainer:1/evil", "sdbench/trainer", "GHCR.IO/sdbench/trainer"),
    *("registry.example:5000/team", "registry.example:5000/teammate/a", "registry.example/team/a"),
    *("registry.example:5000/team/../evil/a", "registry.example:5001/team/a", "registry.example:5000"),
]


@pytest.mark.parametrize("image", ADMITTED_IMAGES)
def test_an_allowed_image_is_admitted_under_every_tag_and_digest(judge: Judge, others: str, image: str | None) -> None:
    assert judge.of(requested_benchmark(others, image, deviceHours="5")) == ""


@pytest.mark.parametrize("image", REFUSED_IMAGES)
def test_an_image_that_only_resembles_an_allowed_one_is_refused(judge: Judge, others: str, image: str) -> None:
    said = judge.of(requested_benchmark(others, image, deviceHours="5"))
    assert f"may not be run in namespace {others}; allowed are ghcr.io/sdbench/trainer, registry" in said


@pytest.mark.parametrize(
    ("counts", "parallelism", "limits"),
    [((4,), 1, {}), ((1, 2), 2, {}), ((1,), 4, {}), ((4,), 2, {"maxDevices": 4}), ((1, 4), 64, {"maxDevices": 4})],
)
def test_a_benchmark_within_the_bound_on_devices_is_admitted(
    judge: Judge, others: str, counts: tuple[int, ...], parallelism: int, limits: dict[str, Any]
) -> None:
    assert judge.of(requested_benchmark(others, None, counts, parallelism, deviceHours="5", **limits)) == ""


@pytest.mark.parametrize(
    ("counts", "parallelism", "limits"),
    [((8,), 1, {}), ((1, 8), 1, {"maxDevices": 8}), ((4,), 2, {}), ((1, 2), 3, {}), ((4,), 2, {"maxDevices": 5})],
)
def test_a_benchmark_beyond_the_bound_on_devices_is_refused(
    judge: Judge, others: str, counts: tuple[int, ...], parallelism: int, limits: dict[str, Any]
) -> None:
    said = judge.of(requested_benchmark(others, None, counts, parallelism, deviceHours="5", **limits))
    assert f"a Benchmark may hold 4 devices at once in namespace {others}" in said
    assert "set limits.maxDevices to 4" in said


@pytest.mark.parametrize("hours", ["5", "5.0", "4.999", "0.5"])
def test_a_benchmark_within_the_bound_on_device_hours_is_admitted(judge: Judge, others: str, hours: str) -> None:
    assert judge.of(requested_benchmark(others, deviceHours=hours)) == ""


@pytest.mark.parametrize("limits", [{}, {"cost": "1"}, {"deviceHours": "5.001"}, {"deviceHours": "10"}])
def test_a_benchmark_beyond_the_bound_on_device_hours_or_without_a_limit_is_refused(
    judge: Judge, others: str, limits: dict[str, Any]
) -> None:
    said = judge.of(requested_benchmark(others, **limits))
    assert f"a Benchmark may cost 5 device-hours in namespace {others}; set it to that or less" in said


def test_bounds_of_a_namespace_replace_the_default_bounds(judge: Judge, team: str) -> None:
    assert judge.of(requested_benchmark(team, UNLISTED, (8,), deviceHours="50.5")) == ""
    assert "may hold 8 devices" in judge.of(requested_benchmark(team, None, (4,), 4, deviceHours="50.5"))
    assert "may cost 50.5 device-hours" in judge.of(requested_benchmark(team, deviceHours="50.6"))


def test_a_namespace_without_bounds_accepts_any_size(judge: Judge, free: str) -> None:
    assert judge.of(requested_benchmark(free, UNLISTED, (8,), 64)) == ""


LOWERED = [
    ("unbounded", {"metadata": {"labels": {"team": "vision"}}}),
    ("unbounded", {"metadata": {"finalizers": ["example.org/x"]}}),
    ("unbounded", {"spec": {"suspend": True}}),
    ("unbounded", {"spec": {"cancel": True}}),
    ("unbounded", {"spec": {"limits": {"queuedSeconds": 1}}}),
    ("unbounded", {"spec": {"limits": {"maxDevices": 6}}}),
    ("unbounded", {"spec": {"limits": {"deviceHours": "1000"}}}),
    ("bounded", {"spec": {"limits": {"maxDevices": 7, "deviceHours": "99"}}}),
    ("bounded", {"spec": {"limits": {"maxDevices": 4, "deviceHours": "5"}}}),
    ("modest", {"spec": {"limits": {"maxDevices": 64, "deviceHours": "4"}}}),
    ("wide", {"spec": {"limits": {"maxDevices": 2}}}),
]


@pytest.mark.parametrize(("name", "patch"), LOWERED, ids=[f"{name} {json.dumps(patch)}" for name, patch in LOWERED])
def test_an_admitted_benchmark_may_be_edited_unless_it_asks_for_more(
    judge: Judge, others: str, name: str, patch: dict[str, Any]
) -> None:
    assert judge.refusal_of_change(others, name, patch) == ""


def test_the_operator_may_write_the_status_of_every_benchmark(judge: Judge, others: str) -> None:
    assert judge.refusal_of_change(others, "unbounded", {"status": {"phase": "Running"}}, "--subresource=status") == ""


RAISED = [
    ("bounded", {"maxDevices": 9}, "may hold 4 devices"),
    ("bounded", {"deviceHours": "100.1"}, "may cost 5 device-hours"),
    ("bounded", {"deviceHours": None}, "may cost 5 device-hours"),
    ("modest", {"deviceHours": "5.1"}, "may cost 5 device-hours"),
    ("modest", {"deviceHours": None}, "may cost 5 device-hours"),
    ("wide", {"maxDevices": 5}, "may hold 4 devices"),
    ("wide", {"maxDevices": None}, "may hold 4 devices"),
]


@pytest.mark.parametrize(("name", "limits", "sentence"), RAISED, ids=[f"{n} {json.dumps(x)}" for n, x, _ in RAISED])
def test_a_limit_that_is_raised_later_is_judged_like_a_new_one(
    judge: Judge, others: str, name: str, limits: dict[str, Any], sentence: str
) -> None:
    assert sentence in judge.refusal_of_change(others, name, {"spec": {"limits": limits}})


def test_the_api_server_has_no_warnings_about_the_expressions(judge: Judge) -> None:
    def policy() -> Manifest | None:
        items: list[Manifest] = json.loads(judge.plane.kubectl("get", POLICY, "-o", "json"))["items"]
        (ours,) = (one for one in items if one["metadata"]["labels"]["app.kubernetes.io/name"] == "sdbench")
        return ours if "observedGeneration" in ours.get("status", {}) else None

    found = until(policy, 60, "the types to be checked")
    assert found["status"]["typeChecking"] == {}
