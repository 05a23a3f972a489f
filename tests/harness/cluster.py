"""Starts a cluster: control plane, one real node, training-operator, our images, S3 and Prometheus."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.addons.discovery import discovery, trust_of
from harness.addons.prometheus import Prometheus, prometheus_server, scraping_pods
from harness.addons.s3 import S3, s3_server
from harness.addons.training_operator import install_training_operator
from harness.cache import lock, say
from harness.control_plane.components import ControlPlane
from harness.daemons import direct_environment
from harness.failure import HarnessError
from harness.images.catalog import OPERATOR, TRAINER, planned_build
from harness.images.supplies import Images, containerd_with_images
from harness.node import addresses
from harness.node.containers import Containerd
from harness.node.kubelet import start_node
from harness.node.namespaces import node_namespaces
from harness.node.restarts import Node
from harness.packages import demand_packages, demand_root
from harness.runs import Run, new_run
from harness.tools import all_binaries, binary
from harness.traces import demand_no_other_node, firewall_rules, leftovers, remove_control_groups

CLUSTER_LOCK = "cluster"


class Cluster:
    """A context manager that starts every part of the cluster, and stops all of it without leaving anything behind.

    A machine runs one at a time: a second one waits for the first to stop.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.plane: ControlPlane
        self.run: Run
        self.s3: S3
        self.discovery: str
        self.prometheus: Prometheus
        self.images: Images
        self.containers: Containerd
        self.node: Node

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            self._start(starting)
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def folder(self) -> Path:
        """The folder of logs, keys and whatever tests put there; it is deleted at the end."""
        return self.plane.folder

    @property
    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig

    @property
    def server(self) -> str:
        return self.plane.server

    @property
    def base_image(self) -> str:
        """An image of Debian with Python, for the tests' own pods."""
        return self.images.base

    def kubectl(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """The standard output of kubectl as cluster administrator; with `check`, a failure raises with its stderr."""
        return self.plane.kubectl(*arguments, input=input, check=check)

    def helm(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """The standard output of helm as cluster administrator; with `check`, a failure raises with its stderr."""
        command = [str(part) for part in (binary("helm"), *arguments)]
        homes = {f"HELM_{name}_HOME": str(self.folder / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = direct_environment(**homes, KUBECONFIG=str(self.kubeconfig))
        run = subprocess.run(command, env=environment, input=input, capture_output=True, text=True)
        if check and run.returncode != 0:
            raise HarnessError(f"helm {' '.join(map(str, arguments))} failed: {run.stderr.strip()}")
        return run.stdout

    def _start(self, stack: contextlib.ExitStack) -> None:
        run, self.containers, self.images = stack.enter_context(_supplied())
        self.run = run
        say("starting the control plane")
        self.plane = stack.enter_context(ControlPlane(addresses.MACHINE, run))
        say("starting the node")
        self.node = Node(self.plane, self.containers, start_node(stack, run, self.plane, self.containers))
        say("installing the training-operator")
        install_training_operator(self.plane, self.images.base)
        self._start_observers(stack, run)

    def _start_observers(self, stack: contextlib.ExitStack, run: Run) -> None:
        self.s3 = stack.enter_context(s3_server(run, addresses.MACHINE))
        trust = trust_of(self.plane.administrator, self.plane.authority.certificate)
        self.discovery = stack.enter_context(discovery(addresses.MACHINE, self.server, trust))
        config = scraping_pods(self.discovery)
        self.prometheus = stack.enter_context(prometheus_server(run, addresses.MACHINE, config))


def build_everything() -> None:
    """Builds every program and image that a cluster needs, and starts nothing."""
    demand_root()
    demand_packages()
    all_binaries()
    for image in (OPERATOR, TRAINER):
        with planned_build(image) as build:
            build.make()


def build_supplies() -> Images:
    """Builds everything that a cluster needs and imports the images into containerd; starts nothing that stays."""
    with _supplied() as (_, _, images):
        return images


@contextlib.contextmanager
def _supplied() -> Iterator[tuple[Run, Containerd, Images]]:
    """Prepares what a control plane and a node need: programs, a clean machine, namespaces, containerd with images."""
    build_everything()
    with (
        lock(CLUSTER_LOCK, "another cluster runs on this machine; only one can run at a time"),
        _clean_run() as run,
        node_namespaces(run) as namespaces,
        containerd_with_images(run, namespaces) as (containers, images),
    ):
        yield run, containers, images


@contextlib.contextmanager
def _clean_run() -> Iterator[Run]:
    """A run that starts on a clean machine, and raises HarnessError if it does not leave a clean one."""
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(new_run("cluster"))
        demand_no_other_node()
        others = firewall_rules()
        try:
            yield run
        finally:
            remove_control_groups()
            stack.close()
            left = leftovers(run.folder, others)
            if left:
                raise HarnessError("the cluster has stopped, but has left behind:\n" + "\n".join(left))
