"""Runs many cases at once, each in its own namespace of one control plane.

All operators share a ServiceAccount, which has the operator's rights in these namespaces and nowhere else.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from harness.control_plane.components import ControlPlane
from sdbench.controller.apiserver import rbac
from testkit.cluster.fake_kubelet import FakeKubelet, fake_kubelet
from testkit.cluster.object_log import SECONDS, ObjectLog, following_objects
from testkit.cluster.scripted_pods import Script, measured
from testkit.operators.operator_process import ACCOUNT, condition
from testkit.server.direct import BENCHMARKS, JOBS, PODS, Api, Document, Refused, administrator, place
from testkit.server.examples import example_benchmark

RBAC = "apis/rbac.authorization.k8s.io/v1"
OPERATORS = "operators"
ROLE = "sdbench-operator"
NAME = "tiny"
ACTIVE = ("Pending", "Running")


@dataclass(frozen=True)
class SharedCluster:
    """The control plane, its object log and fake kubelet, and the operators' kubeconfig."""

    api: Api
    objects: ObjectLog
    kubelet: FakeKubelet
    kubeconfig: Path

    async def sandbox(self, script: Script | None = measured) -> "Sandbox":
        """Creates a namespace in which the operators have rights; its jobs are played if there is a script."""
        name = f"case-{uuid4().hex[:8]}"
        await self.api.send("POST", "api/v1/namespaces", {"metadata": {"name": name}})
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": OPERATORS}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE}
        binding = {"metadata": {"name": ROLE}, "roleRef": role, "subjects": [subject]}
        await self.api.send("POST", f"{RBAC}/namespaces/{name}/rolebindings", binding)
        if script is not None:
            self.kubelet.scripts[name] = script
        return Sandbox(self, name)


@dataclass(frozen=True)
class Sandbox:
    """One namespace: what a user does and sees there."""

    shared_cluster: SharedCluster
    namespace: str

    async def create(self, name: str = NAME, **spec: Any) -> None:
        """Creates a Benchmark: the example with parts of its spec replaced."""
        await self.shared_cluster.api.send("POST", place(BENCHMARKS, self.namespace), example_benchmark(name, **spec))

    async def change(self, **spec: Any) -> None:
        await self.shared_cluster.api.send("PATCH", place(BENCHMARKS, self.namespace, NAME), {"spec": spec})

    async def delete(self, policy: str = "Background") -> None:
        options = {"propagationPolicy": policy}
        await self.shared_cluster.api.send("DELETE", place(BENCHMARKS, self.namespace, NAME), options)

    def play(self, script: Script) -> None:
        """Plays this namespace's jobs from now on, including existing ones."""
        self.shared_cluster.kubelet.scripts[self.namespace] = script
        for job in self.jobs():
            self.shared_cluster.kubelet.on_change(JOBS[1], job)

    async def leave(self) -> None:
        """Deletes all Benchmarks. The namespace stays: its deletion costs the controllers more time than a case."""
        await self.shared_cluster.api.send("DELETE", place(BENCHMARKS, self.namespace))

    def benchmark(self, name: str = NAME) -> Document | None:
        return self.shared_cluster.objects.one(BENCHMARKS, self.namespace, name)

    def jobs(self) -> list[Document]:
        return self.shared_cluster.objects.existing(JOBS, self.namespace)

    def active_pods(self) -> list[Document]:
        pods = self.shared_cluster.objects.existing(PODS, self.namespace)
        return [pod for pod in pods if pod["status"].get("phase") in ACTIVE]

    async def until_holds(self, kind: str, name: str = NAME, seconds: float = SECONDS) -> Document:
        """Waits until a condition of the current generation is True; returns the Benchmark."""

        def found() -> Document | None:
            one = self.benchmark(name)
            if one is None or one.get("status", {}).get("observedGeneration") != one["metadata"]["generation"]:
                return None
            return one if condition(one, kind).get("status") == "True" else None

        return await self.shared_cluster.objects.until(found, f"{kind} of {name}: {self.shown()}", seconds)

    async def until_row(self, trial: int, phase: str, seconds: float = SECONDS) -> Document:
        """Waits until a Trial is in a phase; returns its row."""

        def found() -> Document | None:
            rows = (self.benchmark() or {}).get("status", {}).get("trials", ())
            return next((row for row in rows if row["trial"] == trial and row["phase"] == phase), None)

        return await self.shared_cluster.objects.until(found, f"trial {trial} to be {phase}", seconds)

    async def until_empty(self, seconds: float = SECONDS) -> None:
        """Waits until there is no job and no pod that may hold devices."""
        what = "all jobs and pods to go"
        await self.shared_cluster.objects.until(lambda: not self.jobs() and not self.active_pods(), what, seconds)

    def shown(self) -> str:
        """The Benchmark's phase and rows, for a failure's message."""
        status = (self.benchmark() or {}).get("status", {})
        rows = [(row["trial"], row["phase"], row.get("attempt"), row.get("reason")) for row in status.get("trials", ())]
        return f"{self.namespace} {status.get('phase')} {rows}"


@contextlib.asynccontextmanager
async def open_shared_cluster(plane: ControlPlane, folder: Path) -> AsyncIterator[SharedCluster]:
    """Prepares a control plane that serves Benchmarks and PyTorchJobs for many cases."""
    async with administrator(plane) as api, following_objects(api) as objects, fake_kubelet(api, objects) as kubelet:
        await _account(api)
        token = plane.service_account_kubeconfig(OPERATORS, ACCOUNT).read_text()
        kubeconfig = folder / "operators.kubeconfig"
        kubeconfig.write_text(token)
        yield SharedCluster(api, objects, kubelet, kubeconfig)


async def _account(api: Api) -> None:
    """Creates the operators' ServiceAccount and its ClusterRole; `sandbox` binds it in each namespace."""
    role = {"metadata": {"name": ROLE}, "rules": rbac.rbac_rules(rbac.rights())}
    for path, body in (
        ("api/v1/namespaces", {"metadata": {"name": OPERATORS}}),
        (f"api/v1/namespaces/{OPERATORS}/serviceaccounts", {"metadata": {"name": ACCOUNT}}),
        (f"{RBAC}/clusterroles", role),
    ):
        try:
            await api.send("POST", path, body)
        except Refused as refusal:
            if refusal.code != 409:
                raise
