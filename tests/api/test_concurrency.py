"""Tests that simultaneous passes respect the administrator's cap on the Trials of all Benchmarks."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes.aio.config import kube_config

from harness.control_plane.components import ControlPlane
from sdbench.controller.apiserver.client import connected
from sdbench.controller.apiserver.cluster import Cluster, Key
from sdbench.controller.apiserver.errors import Unavailable
from sdbench.controller.cache import BenchmarkCache
from sdbench.controller.concurrency import ConcurrencyGate
from sdbench.controller.reconcile import Pass, reconcile
from sdbench.core.snapshot import Bounds, Defaults
from testkit.operators.operator_process import IMAGE, apply, condition, read
from testkit.server.examples import example_benchmark

pytest_plugins = ["testkit.server.fixtures"]

ONE = {"counts": [1], "perPod": 1}
DEFAULTS = Defaults(IMAGE, "1.2.3", Bounds(concurrent_trials=2))


@dataclass(frozen=True)
class Crowd:
    """Benchmarks that want to start at the same time, and passes over them."""

    plane: ControlPlane
    keys: tuple[Key, ...]

    async def passes(self, rounds: int) -> None:
        async with connected(lambda call, code: None) as transport:
            cluster, cache = Cluster(transport), BenchmarkCache()
            gate = ConcurrencyGate(cache)
            gate.mark_listed()
            for _ in range(rounds):
                await asyncio.gather(*(self._pass(cluster, key, gate) for key in self.keys))

    async def _pass(self, cluster: Cluster, key: Key, gate: ConcurrencyGate) -> Pass:
        """Retries until a pass succeeds, because an API server with a new CRD is unavailable for a moment."""
        while True:
            try:
                return await reconcile(cluster, DEFAULTS, key, gate)
            except Unavailable as error:
                await asyncio.sleep(error.retry_after or 1)

    def running(self) -> list[str]:
        return [one["metadata"]["labels"]["sdbench.dev/benchmark"] for one in self._items("pytorchjobs")]

    def waiting(self) -> list[str]:
        said = {one["metadata"]["name"]: condition(one, "Running")["reason"] for one in self._items("sdb")}
        return sorted(name for name, reason in said.items() if reason == "WaitsForOtherBenchmarks")

    def _items(self, what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read(self.plane, self.keys[0].namespace, what)["items"]
        return found


def test_no_more_trials_start_at_once_than_the_administrator_allows(
    plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"b{number}" for number in range(5)]
    for name in names:
        document = example_benchmark(name, devices=ONE)
        document["metadata"]["namespace"] = namespace
        apply(plane, document)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(plane.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    crowd = Crowd(plane, tuple(Key(namespace, name) for name in names))
    asyncio.run(crowd.passes(rounds=2))
    assert len(crowd.running()) == 2
    assert sorted([*crowd.running(), *crowd.waiting()]) == names
