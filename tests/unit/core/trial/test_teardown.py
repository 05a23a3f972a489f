"""Tests that the status names who holds the devices a Benchmark waits for, and how to free them."""

from dataclasses import replace

import pytest

from sdbench.api.status import Condition, Status
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState
from unit.core.worlds import after, attempt, benchmark, exited, pod, snapshot, spec

NAMESAKE = "tiny-ffff0-0-1"
"""The job of an earlier Benchmark of this name, which had another UID."""


def of_namesake(state: AttemptState) -> AttemptState:
    return replace(state, name=NAMESAKE)


def running(of: Status) -> Condition:
    return next(one for one in of.conditions if one.type == "Running")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (attempt(pod(), job_uid=None), "pod-0 on node-0"),
        (attempt(pod(deleting=True), job_uid=None), "kubectl taint nodes node-0"),
        (attempt(pod(node=None, scheduled_at=None, started_at=None), job_uid=None), "pod-0 on no node"),
        (attempt(planned=1), NAMESAKE),
        (attempt(exited(), deleting=True), NAMESAKE),
    ],
    ids=["a running pod", "a pod on a dead node", "a pod without a node", "a job", "a job being deleted"],
)
def test_leftovers_of_a_namesake_are_named_and_block_the_start(left: AttemptState, words: str) -> None:
    at = snapshot(benchmark(spec()), of_namesake(left))
    made = decide(at)
    assert made.jobs_to_create == ()
    said = running(made.status)
    assert (said.status, said.reason, words in said.message) == ("False", "WaitsForDevices", True)
    freed = decide(after(made, at))
    assert len(freed.jobs_to_create) == 1


@pytest.mark.parametrize(
    "left",
    [attempt(exited(), job_uid=None), attempt(foreign=True, planned=0)],
    ids=["pods that have ended", "another owner's object"],
)
def test_leftovers_without_devices_block_nothing(left: AttemptState) -> None:
    made = decide(snapshot(benchmark(spec()), of_namesake(left)))
    assert len(made.jobs_to_create) == 1
    assert running(made.status).status == "True"
