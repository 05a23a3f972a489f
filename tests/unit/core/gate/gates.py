"""Builds finished Benchmarks with Points written by hand, and the baselines to judge them by."""

from decimal import Decimal
from typing import Any

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.spec import Spec
from sdbench.api.spec_gate import Gate
from sdbench.api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    EnvironmentRow,
    PointRow,
    Status,
    TrialPhase,
    TrialRow,
)
from sdbench.api.status_gate import GateRow
from sdbench.core.format import decimal
from sdbench.core.gate.verdict import judge
from sdbench.core.measure.references import lookup
from sdbench.core.plan.grid import trials
from sdbench.core.snapshot import Reference
from unit.core.worlds import NOON, benchmark, spec

REPEATS = 3
BASELINE = "last-month"


def asked(
    gate: dict[str, Any] | None = None, counts: tuple[int, ...] = (1,), repeats: int = REPEATS, **changes: Any
) -> Spec:
    """A Spec with this gate and three repeats on these counts of CPU processes, at 2.00 an hour."""
    devices = {"counts": list(counts), "perPod": 1, "hourlyPrice": "2.00"}
    return spec(devices=devices, repeats={"min": repeats}, gate=gate, **changes)


def row(devices: int = 1, rate: str = "100", spread: str | None = "1", **changes: Any) -> PointRow:
    """A Point whose every number is known; `spread` is the standard deviation of its median rate."""
    known = Decimal(rate)
    whole = PointRow(
        point=f"devices={devices}",
        devices=devices,
        repeats=REPEATS,
        images_per_second=known,
        median_images_per_second=known,
        median_standard_deviation=None if spread is None else Decimal(spread),
        median_coefficient_of_variation=None if spread is None else decimal(Decimal(spread) / known, 6),
        images_per_second_per_device=known / devices,
        scaling_efficiency=Decimal("0.8"),
        step_seconds_p50=decimal(8 / known),
        drift_ratio="0",
        rank_skew_ratio_max=Decimal(1),
        data_wait_ratio_max=Decimal("0.05"),
        host_memory_peak_bytes=1,
        mfu_ratio=Decimal("0.4"),
        requested_global_batch_size=8,
        global_batch_size=8,
        per_device=8 // devices,
        microbatches=4 // devices,
        device_microbatch_size=2,
        days=Decimal("50"),
        device_hours=Decimal("1200"),
        cost=Decimal("2400"),
    )
    return whole.model_copy(update=changes)


def environment(**changes: Any) -> EnvironmentRow:
    whole = {"config_hash": "abc", "image_id": "sha256:1", "device": "A100", "device_count": 1, "versions": {"t": "1"}}
    return EnvironmentRow.model_validate(whole | changes)


def answer(of: Spec, *rows: PointRow, on: dict[str, EnvironmentRow] | None = None, **metadata: Any) -> Benchmark:
    """A finished Benchmark whose Trials succeeded as often as the rows have repeats; `on` has environments by Point."""
    environments = {point.point: environment() for point in rows} | (on or {})
    distinct = tuple(environments.values())
    measured = {one.point: one.repeats for one in rows}
    made: list[TrialRow] = []
    for trial in trials(of):
        label = trial.point.label
        done = trial.repeat < measured.get(label, 0)
        changes: dict[str, Any] = {"phase": TrialPhase.FAILED, "reason": Reason.CRASHED, "message": "It crashed"}
        if done:
            index = distinct.index(environments[label])
            changes = {"phase": TrialPhase.SUCCEEDED, "reason": Reason.MEASURED, "environment": index}
        whole = TrialRow(trial=trial.index, point=label, devices=trial.point.devices, repeat=trial.repeat)
        made.append(whole.model_copy(update=changes))
    status = Status(trials=tuple(made), points=rows, environments=distinct, conditions=(complete(),))
    return benchmark(of, status, **metadata)


def complete(kind: ConditionType = ConditionType.COMPLETE) -> Condition:
    """A true condition of this type."""
    return Condition(
        type=kind,
        status=ConditionStatus.TRUE,
        reason="Measured",
        last_transition_time=NOON,
        observed_generation=1,
    )


def baseline(*rows: PointRow, of: Spec | None = None, **changes: Any) -> Reference:
    """A finished baseline with these Points."""
    return Reference(BASELINE, answer(of or asked(), *rows, name=BASELINE, uid="baseline-uid", **changes))


def verdict(of: Benchmark, *references: Reference) -> GateRow:
    """The Verdict of the Benchmark's own gate."""
    gate = of.spec.gate
    assert isinstance(gate, Gate)
    return judge(of, gate, trials(of.spec), lookup(references))
