"""Tests that everything written into a status fits the schema and etcd."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from sdbench.api.consequences import Scope
from sdbench.api.reasons import Reason
from sdbench.api.status import EnvironmentRow, RowMeasurement, Status, TrialPhase
from sdbench.core.decide import decide
from sdbench.core.format import bounded, decimal, moment, signed
from sdbench.core.measure.points import point_rows
from sdbench.core.measure.step_fit import scaling_fits
from sdbench.core.plan.grid import plan
from sdbench.core.trial.row import planned_row, row_measurement
from sdbench_trainer.config import DECIMAL_PATTERN
from sdbench_trainer.report import BatchTruth, StepSeconds
from unit.core.worlds import NOON, benchmark, report, snapshot, spec

ROW_BYTES = 1_500
ETCD_BYTES = 1_500_000
"""etcd rejects requests of more than 1.5 MiB; the spec and metadata need room too."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (128.2, "128.2"),
        (0.1, "0.1"),
        (0.0, "0"),
        (1e-12, "0"),
        (5e-10, "0.000000001"),
        (1e22, "10000000000000000000000"),
        (1e30, "999999999999999999999999"),
        (100.0, "100"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123"),
        (Decimal("99999999999999999999.99999"), "100000000000000000000"),
    ],
)
def test_decimals_are_plain_and_short(value: float | Decimal, text: str) -> None:
    written = format(decimal(value), "f")
    assert written == text
    assert re.fullmatch(DECIMAL_PATTERN, written)
    assert len(written) <= 24


def test_texts_are_cut_to_one_bounded_line() -> None:
    assert bounded("a\n  b") == "a b"
    assert len(bounded("x" * 600)) == 512


def test_moments_have_whole_seconds() -> None:
    assert moment(NOON.replace(microsecond=7)) == NOON


def test_small_and_negative_numbers_keep_their_digits() -> None:
    assert (signed(-0.0123456789), signed(1e-7)) == ("-0.0123456789", "1e-07")


def longest() -> RowMeasurement:
    """A Measurement whose numbers all have their full length."""
    ratios = ("rank_skew_ratio", "data_wait_ratio_max", "data_wait_ratio_mean", "mfu_ratio", "foreign_cpu_ratio")
    odd: dict[str, Any] = dict.fromkeys((*ratios, "steal_ratio"), 0.123456789)
    steps = StepSeconds(p5=1.123456789, p50=1.123456789, p95=1.123456789)
    found = report("any", 123456.123456789, **odd, step_seconds=steps, device_memory_peak_bytes=10**11).measurement
    batch = BatchTruth(
        requested_global_batch_size=1_048_576, global_batch_size=1_048_576, per_device=4, microbatches=64
    )
    assert found is not None
    more = {"drift_ratio": -0.0123456789, "loss": 0.123456789, "disturbed": True, "replaced_samples": 10**6}
    return row_measurement(found.model_copy(update=more), batch)


def test_a_full_row_is_small_enough_for_512_of_them() -> None:
    row = planned_row(plan(spec())[0]).model_copy(
        update={
            "point": "p" * 128,
            "phase": TrialPhase.FAILED,
            "job": "j" * 52,
            "job_uid": "u" * 36,
            "reason": Reason.OUT_OF_MEMORY_DEVICE,
            "scope": Scope.POINT,
            "message": "m" * 200,
            "pods_checksum": "12345678",
            "measurement": longest(),
            **{f"{name}_at": NOON for name in ("queued", "scheduled", "started", "measured", "ended", "released")},
        }
    )
    assert len(json.dumps(row.document(), separators=(",", ":"))) <= ROW_BYTES
    assert Status.model_validate(Status(trials=(row,)).document()).trials == (row,)


def test_the_largest_status_fits_etcd() -> None:
    """A status of 512 measured Points, each in an environment of its own, with every field at its maximum length."""
    devices = {"counts": list(range(1, 17)), "hourlyPrice": "1.23", "resource": "nvidia.com/gpu", "perPod": 16}
    wide: dict[str, object] = {
        "captionDropout": [f"0.1{0:021d}"],
        "loader": {"prefetchBatches": [1, 2]},
        "learningRate": [f"0.{index:022d}" for index in range(1, 17)],
    }
    asked = spec(devices=devices, sweep=wide, trainer={"globalBatchSize": 720_720, "deviceMicrobatchSize": 1})
    made = decide(snapshot(benchmark(asked))).status
    seen = {
        **dict.fromkeys(("config_hash", "driver", "nccl"), "v" * 12),
        "image_id": "i" * 160,
        "device": "d" * 30,
        "device_count": 65_536,
        "flops_per_image": Decimal("3571000000000"),
        "versions": {f"package{number}": "12.34.56" for number in range(8)},
        "workload": {f"knobOfTheTrainer{number}": "amp_bf16" for number in range(14)},
    }
    environments = tuple(EnvironmentRow(**{**seen, "config_hash": f"{index:012d}"}) for index in range(512))
    ended = {
        "phase": TrialPhase.SUCCEEDED,
        "attempt": 1,
        "job": "j" * 52,
        "job_uid": "u" * 36,
        "reason": Reason.MEASURED,
        "pods_checksum": "12345678",
        "measurement": longest(),
        **{f"{name}_at": NOON for name in ("queued", "scheduled", "started", "measured", "ended", "released")},
    }
    rows = tuple(row.model_copy(update={**ended, "environment": row.trial}) for row in made.trials)
    points = point_rows(rows, plan(asked), asked, environments=environments)
    answer = {"trials": rows, "environments": environments, "points": points, "scaling_fits": scaling_fits(points)}
    whole = made.model_copy(update=answer)
    assert (len(whole.points), len(whole.scaling_fits)) == (512, 32)
    assert len(json.dumps(whole.document(), separators=(",", ":"))) <= ETCD_BYTES
