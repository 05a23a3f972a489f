"""Builds Benchmarks, Attempts and pods with defaults that a test overrides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sdbench.api.benchmark import Benchmark, Metadata
from sdbench.api.names import API_VERSION, KIND, attempt_name
from sdbench.api.spec import Spec
from sdbench.api.status import Status
from sdbench.core.snapshot import AttemptState, Decision, Defaults, PodExit, PodState, Snapshot
from sdbench_trainer.report import BatchTruth, Environment, Measurement, Report, ReportError, StepSeconds

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
UID = "0a1b2c3d-0000-4000-8000-000000000000"
NAME = "tiny"
DEFAULTS = Defaults(image="registry.example/trainer:1", operator_version="1.2.3")
WINDOW = 4


def spec(**changes: Any) -> Spec:
    """A Spec with two counts of CPU processes in one pod each; `trainer` is merged, other changes replace."""
    trainer = {
        "model": "tiny",
        "precision": "fp32",
        "globalBatchSize": 8,
        "deviceMicrobatchSize": 2,
        "window": {"warmupBatches": 1, "batches": WINDOW},
        **changes.pop("trainer", {}),
    }
    usual = {"devices": {"counts": [1, 2], "perPod": 1}, "retention": {"failedSeconds": 0}}
    document = {**usual, "trainer": trainer, **changes}
    return Spec.model_validate(document)


def benchmark(asked: Spec | None = None, status: Status | None = None, **metadata: Any) -> Benchmark:
    return Benchmark(
        api_version=API_VERSION,
        kind=KIND,
        metadata=Metadata.model_validate({"name": NAME, "uid": UID, "generation": 1, **metadata}),
        spec=asked or spec(),
        status=status or Status(),
    )


def snapshot(of: Benchmark, *attempts: AttemptState, seconds: float = 0) -> Snapshot:
    return Snapshot(of, attempts, DEFAULTS, NOON + timedelta(seconds=seconds))


def after(
    made: Decision, before: Snapshot, *attempts: AttemptState, seconds: float = 0, **spec_changes: Any
) -> Snapshot:
    """The Snapshot after the Decision's status was stored and read again."""
    stored = Status.model_validate(made.status.document())
    changes: dict[str, Any] = {"status": stored}
    if spec_changes:
        changes["spec"] = before.benchmark.spec.model_copy(update=spec_changes)
    of = before.benchmark.model_copy(update=changes)
    return replace(before, benchmark=of, attempts=attempts, now=before.now + timedelta(seconds=seconds))


def report(attempt: str, images_per_second: float = 100.0, batch: int = 8, **changes: Any) -> Report:
    measured = Measurement(
        batches=WINDOW,
        images=WINDOW * batch,
        seconds=WINDOW * batch / 100,
        images_per_second=images_per_second,
        median_images_per_second=images_per_second,
        step_seconds=StepSeconds(p5=0.1, p50=0.1, p95=0.1),
        drift_ratio=-0.01,
        rank_skew_ratio=1.0,
        data_wait_ratio_max=0.02,
        data_wait_ratio_mean=0.01,
        host_memory_peak_bytes=1_000_000,
        loss=0.5,
    )
    whole = {
        "attempt": attempt,
        "measurement": measured.model_copy(update=changes),
        "batch": BatchTruth(
            requested_global_batch_size=batch, global_batch_size=batch, per_device=batch, microbatches=1
        ),
        "environment": Environment(config_hash="abc", device="cpu", device_count=1, versions={"torch": "2.7.0"}),
    }
    return Report.model_validate({key: value for key, value in whole.items() if value is not None})


def failure(attempt: str, code: int, tail: str = "", where: str = "training", rank: int | None = 0) -> Report:
    return Report(attempt=attempt, error=ReportError(code=code, rank=rank, where=where, tail=tail))


def pod(index: int = 0, **changes: Any) -> PodState:
    """A pod that has run since noon."""
    running = PodState(
        name=f"pod-{index}",
        uid=f"uid-{index}",
        index=index,
        holds_devices=True,
        scheduled_at=NOON,
        started_at=NOON + timedelta(seconds=2),
        node=f"node-{index}",
        image_id="sha256:1",
    )
    return replace(running, **changes)


def exited(index: int = 0, code: int = 0, why: str = "", said: str = "", of: Report | None = None) -> PodState:
    """A pod whose container has ended."""
    reason = why or ("Error" if code else "Completed")
    return pod(index, holds_devices=False, exit=PodExit(code, reason, said), report=of)


def attempt(
    *pods: PodState, trial: int = 0, number: int = 1, planned: int | None = None, **changes: Any
) -> AttemptState:
    """An Attempt whose job was created at noon."""
    name = attempt_name(NAME, UID, trial, number)
    state = AttemptState(
        name=name,
        trial=trial,
        attempt=number,
        job_uid=f"job-{trial}-{number}",
        created_at=NOON,
        planned_pods=len(pods) if planned is None else planned,
        pods=pods,
    )
    return replace(state, **changes)


def condition(of: Status, name: str) -> str | None:
    """The status of a condition, or None if it is absent."""
    return next((str(one.status) for one in of.conditions if one.type == name), None)
