"""Starts a simulated cluster: real control plane, training-operator and Kueue, and nodes that kwok simulates."""

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.addons import kueue
from harness.addons.training_operator import admits
from harness.addons.training_process import startup_file, training_operator
from harness.cache import say
from harness.control_plane.components import ControlPlane
from harness.node.kwok import node, ready, simulated_kubelets
from harness.runs import new_run

NODES, DEVICES_PER_NODE = 32, 8
DEVICE = "nvidia.com/gpu"
CAPACITY = {DEVICE: str(DEVICES_PER_NODE), "cpu": "128", "memory": "1Ti", "pods": "110"}

READY_SECONDS = 120

FAST = ("--kube-api-qps=200", "--kube-api-burst=400")
OPTIONS = {
    # A node is lost after 10 s without a lease instead of 50; what follows from that has its usual timing.
    "kube-controller-manager": (*FAST, "--node-monitor-period=1s", "--node-monitor-grace-period=10s"),
    "kube-scheduler": FAST,
}


class SimulatedCluster:
    """A context manager: inside, 32 nodes with 8 devices each are Ready; afterwards nothing is left. Needs no root.

    The file `stages` holds kwok's stages, which define what happens to a pod on its node.
    """

    def __init__(self, stages: Path) -> None:
        self._stages = stages
        self._stack = contextlib.ExitStack()
        self.plane: ControlPlane

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            self._start(starting)
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        run = stack.enter_context(new_run("simulated"))
        say("starting the control plane")
        self.plane = stack.enter_context(ControlPlane(run=run, options=OPTIONS))
        say(f"starting the training-operator, Kueue and {NODES} simulated nodes")
        with startup_file():
            trains = stack.enter_context(training_operator(run, self.plane, "registry.example/base:1"))
            queues = stack.enter_context(kueue.kueue(run, self.plane))
            plays = stack.enter_context(simulated_kubelets(run, self.plane, self._stages.read_text()))
            self._make_nodes()
            plays.wait_until(lambda: len(ready(self.plane)) == NODES, READY_SECONDS)
            queues.wait_until(lambda: kueue.answers(self.plane), READY_SECONDS)
            trains.wait_until(lambda: admits(self.plane), READY_SECONDS)

    def _make_nodes(self) -> None:
        items = [node(f"node-{number:02}", CAPACITY) for number in range(NODES)]
        self.plane.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
