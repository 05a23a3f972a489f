"""Tests that no result is lost without a message when the operator is away or a pod disappears."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from harness.polling import until
from sdbench_trainer.run import RunConfig
from testkit.cluster.scripted_pods import End, Player, measured
from testkit.operators.operator_process import OperatorProcess, condition, read
from testkit.server.examples import CreateBenchmark, example_benchmark

pytest_plugins = ["testkit.server.fixtures"]

SECONDS = 60


@dataclass
class Stage:
    """A Benchmark of one Trial, whose pod ends on request."""

    plane: ControlPlane
    namespace: str
    may_end: threading.Event = field(default_factory=threading.Event)

    def script(self, run: RunConfig, index: int) -> End | None:
        return measured(run, index) if self.may_end.is_set() else None

    def benchmark(self) -> dict[str, Any]:
        return read(self.plane, self.namespace, "sdb", "tiny")

    def row(self) -> dict[str, Any]:
        rows = self.benchmark().get("status", {}).get("trials") or [{}]
        return dict(rows[0])

    def pods(self) -> list[dict[str, Any]]:
        return list(read(self.plane, self.namespace, "pods")["items"])

    def wait_until_running(self) -> None:
        until(lambda: self.row().get("phase") == "Running", SECONDS, "the trial to run")

    def wait_until_ended(self) -> str:
        """The pod's name, once it has succeeded and its job says so: before that the job would recreate it."""

        def ended() -> str | None:
            jobs = read(self.plane, self.namespace, "pytorchjobs")["items"]
            over = any(condition(job, "Succeeded").get("status") == "True" for job in jobs)
            names = [pod["metadata"]["name"] for pod in self.pods() if pod["status"]["phase"] == "Succeeded"]
            return names[0] if over and names else None

        return str(until(ended, SECONDS, "the pod to end"))

    def remove(self, pod: str) -> None:
        self.plane.kubectl("delete", "pod", pod, "-n", self.namespace, "--force", "--grace-period=0")

    def cleaned_up(self) -> dict[str, Any]:
        def clean() -> dict[str, Any] | None:
            one = self.benchmark()
            return one if condition(one, "CleanedUp").get("status") == "True" else None

        return dict(until(clean, SECONDS, "everything to be cleaned up"))


@pytest.fixture
def stage(plane: ControlPlane, namespace: str, create_benchmark: CreateBenchmark) -> Iterator[Stage]:
    stage = Stage(plane, namespace)
    with Player(plane.kubeconfig, namespace, stage.script):
        create_benchmark(devices=example_benchmark()["spec"]["devices"] | {"counts": [1]})
        yield stage


@contextmanager
def operator_killed_while_it_runs(stage: Stage, kubeconfig: Path, log: Path) -> Iterator[None]:
    """Inside the context the Trial runs without an operator; afterwards one runs until everything is cleaned up."""
    with OperatorProcess(kubeconfig, stage.namespace, log) as first:
        stage.wait_until_running()
        first.kill()
        first.process.wait(10)
    yield
    with OperatorProcess(kubeconfig, stage.namespace, log):
        stage.cleaned_up()


def test_a_result_from_while_the_operator_was_down_is_read_when_it_is_back(
    stage: Stage, kubeconfig: Path, tmp_path: Path
) -> None:
    with operator_killed_while_it_runs(stage, kubeconfig, tmp_path / "log"):
        stage.may_end.set()
        stage.wait_until_ended()
    row = stage.row()
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 1, 0)
    assert float(row["measurement"]["imagesPerSecond"]) == 10.0


def test_a_result_lost_with_its_pod_is_reported_and_measured_again(
    stage: Stage, kubeconfig: Path, tmp_path: Path
) -> None:
    with operator_killed_while_it_runs(stage, kubeconfig, tmp_path / "log"):
        stage.may_end.set()
        stage.remove(stage.wait_until_ended())
    row = stage.row()
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, 1)
    events = read(stage.plane, stage.namespace, "events")["items"]
    warnings = [event for event in events if event["reason"] == "Interrupted" and event["type"] == "Warning"]
    assert any("1 of 1 pods were deleted" in event["message"] for event in warnings), [e["message"] for e in events]


def test_a_result_lost_while_the_operator_was_down_is_reported_and_measured_again(
    stage: Stage, kubeconfig: Path, tmp_path: Path
) -> None:
    with OperatorProcess(kubeconfig, stage.namespace, tmp_path / "log") as operator:
        stage.wait_until_running()
        operator.process.send_signal(signal.SIGSTOP)
        stage.may_end.set()
        stage.remove(stage.wait_until_ended())
        operator.process.send_signal(signal.SIGCONT)
        row = stage.cleaned_up()["status"]["trials"][0]
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, 1)
    assert float(row["measurement"]["imagesPerSecond"]) == 10.0
