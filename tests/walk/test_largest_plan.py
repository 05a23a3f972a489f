"""Tests that a real API server stores the largest status: 512 Trials with the longest messages."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.control_plane.components import ControlPlane
from sdbench.api.benchmark import Benchmark
from sdbench.api.names import PLAN_LIMIT, attempt_name
from sdbench.api.status import Resolved, Status, TrialPhase, TrialRow
from sdbench.core.decide import decide
from sdbench.core.plan.grid import Trial, trials
from sdbench.core.snapshot import AttemptState, PodState, Snapshot
from sdbench.core.status.size_limit import LIMIT_BYTES, written_bytes
from sdbench.core.trial.row import planned_row
from sdbench_trainer.report import Environment, Measurement, Report, ReportError, StepSeconds, message, report_in
from testkit.server.client import BenchmarkClient
from testkit.server.examples import example_benchmark
from unit.core.worlds import DEFAULTS, NOON, exited

pytest_plugins = ["testkit.server.fixtures", "testkit.schema.walks"]

NAME = "w" * 36
FINE = 0.123456789123
RATE = 12_345.678912345
ETCD_BYTES = 1_572_864

Leaves = Callable[[str, int], Report]
"""Maps an Attempt's name and its Trial's number to the Report that it leaves."""


def largest_benchmark() -> dict[str, Any]:
    """A Benchmark with as many Points as possible, the longest labels, and no projection for any of them."""
    rates = [f"0.{number:022d}" for number in range(1, 17)]
    sweep: dict[str, Any] = {"learningRate": rates, "seed": [2**31 - 1 - number for number in range(32)]}
    sweep |= {"captionDropout": ["0.1000000000000000000001"]}
    stages = [{"images": 10**15, "imageSize": 64}, {"images": 10**15, "imageSize": 32, "benchmark": "w" * 35}]
    devices = {"counts": [1], "hourlyPrice": "9999.99"}
    return example_benchmark(
        NAME, devices=devices, sweep=sweep, projection={"stages": stages}, parallelism=64, retries=0
    )


def usual(name: str, number: int) -> Report:
    """A Report whose environment differs only in the configuration's hash."""
    return measured(name, f"{number:012x}", {"torch": "2.7.0+cu128", "composer": "0.32.1", "streaming": "0.13.0"})


def long_winded(name: str, number: int) -> Report:
    """The longest Report; no two have the same environment."""
    return measured(name, f"{number:064x}", {f"package-{index}": f"{number:014d}" for index in range(20)})


def failed(name: str, number: int) -> Report:
    """The longest error, of the characters that take the most bytes."""
    return Report(attempt=name, error=ReportError(code=64, rank=0, where="<写真&>" * 8, tail="<&写真>" * 80))


def measured(name: str, config_hash: str, versions: dict[str, str]) -> Report:
    window = example_benchmark()["spec"]["trainer"]["window"]["batches"]
    images = window * example_benchmark()["spec"]["trainer"]["globalBatchSize"]
    return Report(
        attempt=name,
        measurement=Measurement(
            batches=window,
            images=images,
            seconds=86_400 + FINE,
            images_per_second=RATE,
            median_images_per_second=RATE,
            step_seconds=StepSeconds(p5=FINE, p50=FINE, p95=FINE),
            drift_ratio=-FINE,
            rank_skew_ratio=1 + FINE,
            data_wait_ratio_max=FINE,
            data_wait_ratio_mean=FINE,
            host_memory_peak_bytes=2**40,
            device_memory_peak_bytes=2**37,
            loss=-FINE,
            mfu_ratio=FINE,
            foreign_cpu_ratio=FINE,
            steal_ratio=FINE,
            disturbed=True,
            replaced_samples=10**6,
        ),
        environment=Environment(
            config_hash=config_hash,
            device="d" * 80,
            device_count=1,
            versions=versions,
            driver="570.172.08",
            nccl="2.27.3",
            workload={"attention": "sdpa", "compile": "false", "ema": "smoothing 0.99, every batch, from batch 0"},
            flops_per_image=FINE * 10**12,
            peak_teraflops=312.5,
        ),
    )


def ended(trial: Trial, uid: str, leaves: Leaves) -> tuple[TrialRow, AttemptState]:
    """A row with all times, and the state of its Attempt, which has just left its Report."""
    name = attempt_name(NAME, uid, trial.index, 1)
    times = dict.fromkeys(("queued_at", "scheduled_at", "started_at"), NOON)
    known = {"phase": TrialPhase.RUNNING, "attempt": 1, "job": name, "job_uid": uid, **times}
    left = message(leaves(name, trial.index))
    report = report_in(left)
    assert report is not None
    code = report.error.code if report.error is not None else 0
    image_id = f"registry.example/{'i' * 60}@sha256:{trial.index:064x}"
    pod: PodState = replace(exited(0, code, said=left, of=report), image_id=image_id)
    state = AttemptState(name, trial.index, 1, uid, NOON, 1, job_ended=True, pods=(pod,))
    return planned_row(trial).model_copy(update=known), state


def answer(benchmark: Benchmark, leaves: Leaves) -> Status:
    """The operator's status when all Trials have just ended."""
    both = [ended(trial, benchmark.metadata.uid, leaves) for trial in trials(benchmark.spec)]
    resolved = Resolved(image="registry.example/trainer:1", operator_version="1")
    running = Status(trials=tuple(row for row, _ in both), resolved=resolved)
    seen = benchmark.model_copy(update={"status": running})
    return decide(Snapshot(seen, tuple(state for _, state in both), DEFAULTS, NOON)).status


@pytest.mark.parametrize(
    ("leaves", "environments"),
    [(usual, PLAN_LIMIT), (long_winded, 0), (failed, 0)],
    ids=["usual", "long-winded", "failed"],
)
def test_the_status_of_512_trials_is_stored_and_then_stays_the_same(
    plane: ControlPlane, namespace: str, leaves: Leaves, environments: int
) -> None:
    client = BenchmarkClient(plane.kubeconfig, namespace)
    stored = client.create(largest_benchmark(), dry=False)
    assert stored.accepted, stored.message
    benchmark = Benchmark.model_validate(stored.document)
    status = answer(benchmark, leaves)
    assert len(status.trials) == PLAN_LIMIT
    assert {row.phase for row in status.trials} == {TrialPhase.FAILED if leaves is failed else TrialPhase.SUCCEEDED}
    assert len(status.environments) == environments
    assert sum(row.environment is not None for row in status.trials) == environments
    assert written_bytes(status) <= LIMIT_BYTES < ETCD_BYTES
    put = client.replace_status(NAME, stored.document | {"status": status.document()})
    assert put.accepted, put.message
    assert client.read(NAME)["status"] == status.document()
    assert decided_twice(benchmark, status) == decided_again(benchmark, status)


def decided_again(benchmark: Benchmark, status: Status) -> dict[str, Any]:
    """The next status, after the pods are gone."""
    stored = Status.model_validate(status.document())
    return decide(Snapshot(benchmark.model_copy(update={"status": stored}), (), DEFAULTS, NOON)).status.document()


def decided_twice(benchmark: Benchmark, status: Status) -> dict[str, Any]:
    return decided_again(benchmark, Status.model_validate(decided_again(benchmark, status)))
