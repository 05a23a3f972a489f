"""Tests that a Report fits into a termination message, and that a cut or altered message is refused."""

import json
from typing import Any

import pytest

from sdbench_trainer.report import (
    LIMIT_BYTES,
    BatchTruth,
    Environment,
    Measurement,
    Report,
    ReportError,
    StepSeconds,
    message,
    report_in,
)

LONG = 123_456.789_012_345_67
SMALL = 1 / 3e5
"""A small number with many digits."""

WORKLOAD = {f"knob{number}": "x" * 18 for number in range(10)}


def full() -> Report:
    """A Report whose fields all have their longest values."""
    return Report(
        attempt="a" * 63,
        measurement=Measurement(
            batches=1_000_000,
            images=2**40,
            seconds=LONG,
            images_per_second=LONG,
            median_images_per_second=LONG,
            step_seconds=StepSeconds(p5=SMALL, p50=SMALL, p95=SMALL),
            drift_ratio=-SMALL,
            rank_skew_ratio=4 / 3,
            data_wait_ratio_max=SMALL,
            data_wait_ratio_mean=SMALL,
            host_memory_peak_bytes=2**42,
            device_memory_peak_bytes=2**42,
            loss=-SMALL,
            mfu_ratio=SMALL,
            foreign_cpu_ratio=SMALL,
            steal_ratio=SMALL,
            disturbed=False,
            replaced_samples=10**12,
            block_step_seconds=(SMALL,) * 10,
        ),
        batch=BatchTruth(
            requested_global_batch_size=2**20, global_batch_size=2**20, per_device=2**16, microbatches=2**14
        ),
        environment=Environment(
            config_hash="0" * 12,
            device="N" * 80,
            device_count=4096,
            versions=dict.fromkeys(
                ("composer", "diffusers", "sdbench", "streaming", "torch", "transformers"), "10.10.10+cu999"
            ),
            driver="999.999.99",
            nccl="2.99.9",
            workload=WORKLOAD,
            flops_per_image=LONG * 1e13,
            peak_teraflops=LONG,
        ),
        seconds_to_first_step=1 / 3,
    )


def numbers(value: Any) -> list[float]:
    """Every number in a document, in order."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def test_the_longest_result_fits_and_is_read_back_with_numbers_exact_to_1e_9() -> None:
    text = message(full())
    back = report_in(text)
    assert len(text.encode()) <= LIMIT_BYTES
    assert len(json.dumps(WORKLOAD, separators=(",", ":"))) >= 250
    assert back is not None
    assert numbers(back.document()) == pytest.approx(numbers(full().document()), rel=1e-9, abs=0)
    assert message(back) == text
    assert report_in(message(back)) == back


def test_numbers_with_few_digits_are_read_back_unchanged() -> None:
    measured = full().measurement
    assert measured is not None
    short = {"seconds": 12.25, "images_per_second": 0.1, "median_images_per_second": 1e-7, "loss": 1234567890.0}
    steps = StepSeconds(p5=0.25, p50=0.5, p95=1e22)
    shares = dict.fromkeys(("drift_ratio", "rank_skew_ratio", "data_wait_ratio_max", "data_wait_ratio_mean"), 0.0625)
    others = {"mfu_ratio": None, "foreign_cpu_ratio": 0.0, "steal_ratio": None, "block_step_seconds": (0.1, 0.2)}
    update = {**short, **shares, **others, "step_seconds": steps}
    report = Report(attempt="a", measurement=measured.model_copy(update=update))
    assert report_in(message(report)) == report


def with_environment(**changes: Any) -> Report:
    environment = full().environment
    assert environment is not None
    return full().model_copy(update={"environment": environment.model_copy(update=changes)})


OVERLONG: list[tuple[str, Report, tuple[bool, bool, bool]]] = [
    ("as usual", full(), (True, True, True)),
    ("a long workload", with_environment(workload={"a": "x" * 600}), (False, True, True)),
    ("a device name in another script", with_environment(device="機" * 80), (False, True, True)),
    ("a longer workload", with_environment(workload={"a": "x" * 700}), (False, False, True)),
    ("an enormous workload", with_environment(workload={"a": "x" * 9_000}), (False, False, True)),
    ("enormous versions", with_environment(versions={"a": "x" * 9_000}), (False, False, False)),
]


@pytest.mark.parametrize(("report", "kept"), [row[1:] for row in OVERLONG], ids=[row[0] for row in OVERLONG])
def test_a_result_that_is_too_long_loses_blocks_then_workload_then_versions(
    report: Report, kept: tuple[bool, bool, bool]
) -> None:
    text = message(report)
    back = report_in(text)
    assert len(text.encode()) <= LIMIT_BYTES
    assert back is not None
    assert back.measurement is not None
    assert back.environment is not None
    environment = back.environment
    assert kept == tuple(map(bool, (back.measurement.block_step_seconds, environment.workload, environment.versions)))
    assert back.measurement.images_per_second == pytest.approx(LONG, rel=1e-9)
    assert back.batch == report.batch


@pytest.mark.parametrize("tail", ["x" * 10_000, "é" * 10_000, '"\\\n' * 5_000])
def test_a_long_tail_is_cut_at_its_front(tail: str) -> None:
    error = ReportError(code=70, rank=3, where="training", tail=tail + "THE END")
    text = message(Report(attempt="a", error=error))
    back = report_in(text)
    assert len(text.encode()) <= LIMIT_BYTES
    assert back is not None
    assert back.error is not None
    assert back.error.tail.endswith("THE END")


def test_a_cut_message_is_not_a_report() -> None:
    text = message(full())
    assert all(report_in(text[:end]) is None for end in range(0, len(text), 7))
    assert all(report_in(text[start:]) is None for start in range(1, len(text), 7))


def test_an_altered_message_is_not_a_report() -> None:
    text = message(full())
    assert report_in(text.replace('"batches":1000000', '"batches":1000001')) is None
    assert report_in(text.replace('"checksum":"', '"checksum":"0')) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"x"', "{}", "Killed", "\x00"])
def test_another_text_is_not_a_report(text: str) -> None:
    assert report_in(text) is None


def test_a_report_with_nan_is_not_written() -> None:
    measured = full().measurement
    assert measured is not None
    broken = measured.model_copy(update={"loss": float("nan")})
    with pytest.raises(ValueError, match=r"(?i)nan|json"):
        message(full().model_copy(update={"measurement": broken}))
