"""Do budgets, retention, ttl and the bound on all Trials hold against the real API server and its garbage collector?"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes.aio.config import kube_config

from api.namespaces import made_namespace
from api.operating import IMAGE, OperatorProcess, account, apply, condition, read
from api.played import End, Player
from api.questions import Asked, question
from api.seen import SECONDS, Place
from cluster.harness.control_plane import ControlPlane
from cluster.harness.polling import until
from sdbench.controller.board import Board
from sdbench.controller.cluster import Cluster, Key
from sdbench.controller.neighbours import Neighbours
from sdbench.controller.reconcile import Pass, reconcile
from sdbench.controller.transport import connected
from sdbench.core.world import Bounds, Defaults
from sdbench_trainer.run import RunConfig

pytest_plugins = ["api.places"]

ONE = {"counts": [1], "perPod": 1, "hourlyPrice": "3600"}
"""A device-second costs one."""

DEFAULTS = Defaults(IMAGE, "1.2.3", Bounds(concurrent_trials=2))


@pytest.fixture(scope="module")
def operator(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator of the whole cluster."""
    kubeconfig = account(plane, made_namespace(plane), everywhere=True)
    with OperatorProcess(kubeconfig, None, tmp_path_factory.mktemp("bounds") / "log") as operator:
        yield operator
        assert "a bug in this version" not in operator.said()


@pytest.fixture
def place(plane: ControlPlane, namespace: str, operator: OperatorProcess) -> Place:
    return Place(plane, namespace, operator)


def hanging(run: RunConfig, index: int) -> End | None:
    return None


def failing(run: RunConfig, index: int) -> End | None:
    return End(67, "", "Error")


def changed(place: Place, **spec: Any) -> None:
    patch = json.dumps({"spec": spec})
    place.plane.kubectl("patch", "sdb", "tiny", "-n", place.namespace, "--type=merge", "-p", patch)


def test_a_running_attempt_is_stopped_when_the_money_is_spent(place: Place, asked: Asked) -> None:
    with Player(place.plane.kubeconfig, place.namespace, hanging):
        asked(devices=ONE, limits={"cost": "6"}, repeats={"min": 3})
        answer = place.wait_for("Failed")
        status = place.wait_for("CleanedUp")["status"]
        until(lambda: not place.names("pytorchjobs") and not place.names("pods"), SECONDS, "jobs and pods to go")
    assert condition(answer, "Failed")["reason"] == "BudgetExceeded"
    assert [row["reason"] for row in status["trials"]] == ["BudgetExceeded"] * 3
    assert "limits.cost, is used up" in status["trials"][0]["message"]
    assert 6 <= float(status["spentCost"]) <= 30, "no more than the stop and the teardown take"
    assert place.reasons().count("BudgetExceeded") == 2, "the attempt that was stopped, and the trials never tried"


def test_the_job_of_a_failed_attempt_stays_to_be_looked_at_while_its_devices_are_free(
    place: Place, asked: Asked
) -> None:
    with Player(place.plane.kubeconfig, place.namespace, failing):
        asked(devices=ONE, retention={"failedSeconds": 3600})
        status = place.wait_for("CleanedUp")["status"]
        (job,) = place.names("pytorchjobs")
        assert place.names("pods") == [f"{job}-master-0"]
        assert status["trials"][0]["reason"] == "OutOfMemoryDevice"
        before = place.benchmark()["status"]
        changed(place, retention={"failedSeconds": 0})
        until(lambda: not place.names("pytorchjobs") and not place.names("pods"), SECONDS, "what was kept to go")
    after = place.benchmark()["status"]
    assert after["trials"] == before["trials"]
    assert condition({"status": after}, "CleanedUp") | {"observedGeneration": 1} == condition(
        {"status": before}, "CleanedUp"
    )


def test_a_finished_benchmark_deletes_itself_with_all_that_was_kept(place: Place, asked: Asked) -> None:
    with Player(place.plane.kubeconfig, place.namespace, failing):
        asked(devices=ONE, retention={"failedSeconds": 3600}, ttlSecondsAfterFinished=2)
        until(lambda: not place.names("sdb"), SECONDS, "the benchmark to delete itself")
        assert place.names("pytorchjobs") == []
        until(lambda: not place.names("pods"), SECONDS, "its pods to be collected")
    assert "CleanedUp" in place.reasons()


@dataclass(frozen=True)
class Crowd:
    """Passes over Benchmarks that want to start at the same moment."""

    plane: ControlPlane
    keys: tuple[Key, ...]

    async def passes(self, rounds: int) -> None:
        async with connected(lambda call, code: None) as transport:
            cluster, board = Cluster(transport), Board()
            neighbours = Neighbours(board)
            neighbours.listed()
            for _ in range(rounds):
                await asyncio.gather(*(self._pass(cluster, key, neighbours) for key in self.keys))

    async def _pass(self, cluster: Cluster, key: Key, neighbours: Neighbours) -> Pass:
        return await reconcile(cluster, DEFAULTS, key, neighbours)

    def running(self) -> list[str]:
        return [one["metadata"]["labels"]["sdbench.dev/benchmark"] for one in self._items("pytorchjobs")]

    def waiting(self) -> list[str]:
        said = {one["metadata"]["name"]: condition(one, "Running")["reason"] for one in self._items("sdb")}
        return sorted(name for name, reason in said.items() if reason == "WaitsForOtherBenchmarks")

    def _items(self, what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read(self.plane, self.keys[0].namespace, what)["items"]
        return found


def test_of_many_that_want_to_start_at_once_only_as_many_start_as_the_administrator_allows(
    plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"b{number}" for number in range(5)]
    for name in names:
        document = question(name, devices=ONE)
        document["metadata"]["namespace"] = namespace
        apply(plane, document)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(plane.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    crowd = Crowd(plane, tuple(Key(namespace, name) for name in names))
    asyncio.run(crowd.passes(rounds=2))
    assert len(crowd.running()) == 2
    assert sorted([*crowd.running(), *crowd.waiting()]) == names
