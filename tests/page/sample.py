"""Builds a finished Benchmark for tests of reports, with the numbers of the published table."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sdbench.api.benchmark import Benchmark, Metadata
from sdbench.api.names import API_VERSION, KIND
from sdbench.api.reasons import Reason
from sdbench.api.spec import Devices, Spec
from sdbench.api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    EnvironmentRow,
    Phase,
    PointRow,
    Resolved,
    Status,
    TrialPhase,
    TrialRow,
)
from sdbench.core.measure.step_fit import scaling_fits
from sdbench_trainer.config import TrainerConfig

SEED = (
    (8, "128.2", "258.83", "49696", "99392"),
    (16, "254.0", "130.63", "50166", "100332"),
    (32, "485.7", "68.33", "52470", "104940"),
    (64, "912.2", "36.38", "55875", "111750"),
    (128, "1618.4", "20.5", "62987", "125974"),
    (256, "2589.4", "12.83", "78735", "157470"),
)
BATCH = 2048
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
HOSTILE = "</script><script>window.hostile = 1</script><b>"


def point(devices: int, rate: str, days: str, hours: str, cost: str, interval: str = "0") -> PointRow:
    """A Point with the numbers of the published table; `interval` is half of the 95 % interval."""
    per_device = Decimal(rate) / devices
    wide = Decimal(interval)
    return PointRow(
        point=f"devices={devices}",
        devices=devices,
        repeats=3 if wide else 1,
        images_per_second=Decimal(rate),
        median_images_per_second=Decimal(rate),
        interval_low=Decimal(rate) - wide if wide else None,
        interval_high=Decimal(rate) + wide if wide else None,
        images_per_second_per_device=per_device,
        scaling_efficiency=round(per_device / (Decimal("128.2") / 8), 9),
        median_standard_deviation=wide / 4 if wide else None,
        median_coefficient_of_variation=round(wide / 4 / Decimal(rate), 6) if wide else None,
        step_seconds_p50=round(BATCH / Decimal(rate), 9),
        drift_ratio="-0.002",
        rank_skew_ratio_max=Decimal("1.02"),
        data_wait_ratio_max=Decimal("0.012"),
        host_memory_peak_bytes=9_000_000_000,
        device_memory_peak_bytes=31_000_000_000,
        requested_global_batch_size=BATCH,
        global_batch_size=BATCH,
        per_device=BATCH // devices,
        device_microbatch_size=4,
        microbatches=BATCH // devices // 4,
        days=Decimal(days),
        device_hours=Decimal(hours),
        cost=Decimal(cost),
    )


def trial(index: int, devices: int, reason: Reason = Reason.MEASURED, message: str = "") -> TrialRow:
    """The row of an ended Trial."""
    phase = TrialPhase.SUCCEEDED if reason is Reason.MEASURED else TrialPhase.FAILED
    point = f"devices={devices}"
    return TrialRow(
        trial=index, point=point, devices=devices, repeat=0, phase=phase, attempt=1, reason=reason, message=message
    )


def condition(kind: ConditionType, reason: str, message: str) -> Condition:
    """A condition that is true."""
    return Condition(
        type=kind,
        status=ConditionStatus.TRUE,
        reason=reason,
        message=message,
        last_transition_time=NOW,
        observed_generation=1,
    )


def benchmark(status: Status, name: str = "a100-scaling") -> Benchmark:
    """A Benchmark over six counts with these results."""
    return Benchmark(
        api_version=API_VERSION,
        kind=KIND,
        metadata=Metadata(name=name, creation_timestamp=NOW),
        spec=Spec(
            devices=Devices(
                counts=tuple(row[0] for row in SEED),
                per_pod=8,
                resource="nvidia.com/gpu",
                hourly_price=Decimal("2.00"),
            ),
            trainer=TrainerConfig(),
        ),
        status=status,
    )


def complete() -> Benchmark:
    """A Benchmark with every Point measured, with repeats."""
    points = tuple(point(*row, interval="1.1") for row in SEED)
    status = Status(
        phase=Phase.SUCCEEDED,
        resolved=Resolved(image="registry.example/sdbench-trainer:0.1.0", operator_version="0.1.0"),
        trials=tuple(trial(index, row[0]) for index, row in enumerate(SEED)),
        points=points,
        scaling_fits=scaling_fits(points),
        spent_device_seconds=1_209_600,
        spent_cost=Decimal(672),
        environments=(
            EnvironmentRow(
                config_hash="5d1f0c6a",
                image_id="sha256:0123456789abcdef",
                device="NVIDIA A100-SXM4-40GB",
                device_count=8,
                versions={"torch": "2.7.0", "composer": "0.32.1", "streaming": "0.13.0", "diffusers": "0.35.2"},
                driver="550.54.15",
                nccl="2.26.2",
                workload={"precision": "amp_fp16", "attention": "sdpa"},
                flops_per_image=Decimal(3571000000000),
                peak_teraflops=Decimal(312),
            ),
        ),
        conditions=(condition(ConditionType.COMPLETE, "Measured", "Every Point is measured."),),
    )
    return benchmark(status)


def noted() -> Benchmark:
    """The complete Benchmark with notes on most Points, and a known utilisation."""
    whole = complete()
    changes: tuple[dict[str, Any], ...] = (
        {"disturbed_repeats": 2},
        {"mixed": f"device (A100 / {HOSTILE})", "mfu_ratio": Decimal("0.3512")},
        {"requested_global_batch_size": 2048, "global_batch_size": 2016, "per_device": 21, "microbatches": 6},
        {"disturbed_repeats": 2, "replaced_samples": 1},
        {},
        {"replaced_samples": 1200},
    )
    points = tuple(row.model_copy(update=more) for row, more in zip(whole.status.points, changes, strict=True))
    return whole.model_copy(update={"status": whole.status.model_copy(update={"points": points})})


def partly(message: str = "Rank 9 ran out of device memory: lower deviceMicrobatchSize.") -> Benchmark:
    """A Benchmark with two measured Points, and one that failed with this message."""
    failed = trial(2, 32, Reason.OUT_OF_MEMORY_DEVICE, message)
    status = Status(
        phase=Phase.SUCCEEDED,
        trials=(trial(0, 8), trial(1, 16), failed),
        points=tuple(point(*row) for row in SEED[:2]),
        conditions=(condition(ConditionType.COMPLETE, "PartlyMeasured", "2 of 3 Trials were measured."),),
    )
    return benchmark(status, "partly")
