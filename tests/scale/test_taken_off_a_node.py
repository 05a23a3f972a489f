"""Tests an Attempt whose pod is taken off its node, by the eviction API or by the scheduler.

Both are real: an Eviction like that of `kubectl drain`, and a pod of a higher PriorityClass that fits nowhere else.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from harness.control_plane.components import ControlPlane
from harness.kwok_cluster import DEVICE, DEVICES_PER_NODE
from harness.polling import until
from scale import seed
from scale.benchmarks import SECONDS, Row, StoredBenchmark, create, example
from scale.pod_finisher import AttemptId, PodFinisher
from scale.queues import make_priorities
from testkit.operators.operator_process import OperatorProcess, apply, read

DEVICES = 16
PODS = DEVICES // DEVICES_PER_NODE
SPEC: dict[str, Any] = {
    "devices": {"counts": [DEVICES], "perPod": DEVICES_PER_NODE, "resource": DEVICE},
    "gate": None,
    "retention": {"failedSeconds": 0},
}


class RemovedWorker(NamedTuple):
    """What was observed of an Attempt whose worker was taken off its node."""

    worker: str
    node: str
    void: Row
    """The Trial's row when its first Attempt had ended."""
    status: dict[str, Any]
    """The Benchmark's status at its end."""
    message: str
    """The message of the Event about the first Attempt's end."""


def evict(plane: ControlPlane, namespace: str, worker: str, _: str) -> None:
    """Posts the Eviction that a drain posts."""
    about = {"name": worker, "namespace": namespace}
    path = f"/api/v1/namespaces/{namespace}/pods/{worker}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": about}
    plane.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))


def preempt(plane: ControlPlane, namespace: str, _: str, node: str) -> None:
    """Creates a pod of a higher priority that requests all devices of the worker's node."""
    make_priorities(plane)
    devices = {DEVICE: str(DEVICES_PER_NODE)}
    container = {"name": "wants", "image": "x", "resources": {"requests": devices, "limits": devices}}
    spec = {"priorityClassName": "urgent", "nodeSelector": {"kubernetes.io/hostname": node}, "containers": [container]}
    apply(
        plane, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": URGENT, "namespace": namespace}, "spec": spec}
    )


URGENT = "urgent"


@pytest.fixture
def benchmark(plane: ControlPlane, namespace: str, operator: OperatorProcess) -> Iterator[StoredBenchmark]:
    """A Benchmark with two pods."""
    yield StoredBenchmark(plane, namespace, "taken", operator)
    plane.kubectl("delete", "pod", URGENT, "-n", namespace, "--ignore-not-found")


def take_worker_off_its_node(benchmark: StoredBenchmark, take: Any, reason: str) -> RemovedWorker:
    """Creates a Benchmark, takes a worker off its node in the middle of the run, and waits for the end."""
    plane, first = benchmark.plane, AttemptId(benchmark.name, 0)
    with PodFinisher(plane.kubeconfig, benchmark.namespace, seed.RATES, {first}) as finisher:
        create(plane, benchmark.namespace, example(benchmark.name, **SPEC))
        row = benchmark.wait_for_row(0, "to run", lambda row: row["phase"] == "Running")
        pods = until(lambda: found if len(found := finisher.running(first)) == PODS else None, SECONDS, "both pods")
        (worker,) = (pod for pod in pods if "-worker-" in pod["metadata"]["name"])
        name, node = worker["metadata"]["name"], worker["spec"]["nodeName"]
        take(plane, benchmark.namespace, name, node)
        void = benchmark.wait_for_row(0, f"to be {reason}", lambda row: row.get("reason") == reason)
        status = benchmark.wait_for("CleanedUp")
    assert_each_pod_was_gone_before_the_next_attempt(finisher, row["job"], status["trials"][0]["job"])
    ((warning, text),) = benchmark.warnings().items()
    assert warning == reason
    return RemovedWorker(name, node, void, status, text)


def assert_each_pod_was_gone_before_the_next_attempt(finisher: PodFinisher, first: str, second: str) -> None:
    assert second == f"{first.removesuffix('-1')}-2"
    gone = [("DELETED", f"{first}-{role}-0") for role in ("master", "worker")]
    come = [("ADDED", f"{second}-{role}-0") for role in ("master", "worker")]
    assert max(map(finisher.history.index, gone)) < min(map(finisher.history.index, come))
    assert sorted(finisher.created()) == sorted(name for _, name in gone + come)


def assert_void_and_answered(found: RemovedWorker, failures: int) -> None:
    """Checks that the first Attempt does not count, and that the second one's rate is the Trial's."""
    (row,), (point,) = found.status["trials"], found.status["points"]
    assert (found.void["attempt"], found.void["failures"], "measurement" in found.void) == (1, failures, False)
    assert (row["phase"], row["attempt"], row["failures"]) == ("Succeeded", 2, failures)
    assert (point["repeats"], float(point["imagesPerSecond"])) == (1, seed.RATES[DEVICES])


def test_an_evicted_pod_ends_its_attempt_which_counts_against_the_retries(benchmark: StoredBenchmark) -> None:
    found = take_worker_off_its_node(benchmark, evict, "Evicted")
    assert f"Pod {found.worker} was taken off node {found.node} (EvictionByEvictionAPI)" in found.message
    assert_void_and_answered(found, failures=1)
    benchmark.wait_until_nothing_is_left()


def test_a_pod_preempted_by_the_scheduler_ends_its_attempt_which_does_not_count(benchmark: StoredBenchmark) -> None:
    found = take_worker_off_its_node(benchmark, preempt, "Preempted")
    assert f"Pod {found.worker} was taken off node {found.node} (PreemptionByScheduler)" in found.message
    assert_void_and_answered(found, failures=0)
    urgent = read(benchmark.plane, benchmark.namespace, "pod", URGENT)
    assert urgent["spec"]["nodeName"] == found.node
    assert benchmark.names("pods") == [URGENT]
