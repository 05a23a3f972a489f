"""Does a Report survive its way? It fits a termination message, and a cut or altered one is refused."""

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


def full() -> Report:
    return Report(
        attempt="a" * 63,
        measurement=Measurement(
            batches=1_000_000,
            images=2**40,
            seconds=LONG,
            images_per_second=LONG,
            median_images_per_second=LONG,
            step_seconds=StepSeconds(p5=1 / 3, p50=1 / 3, p95=1 / 3),
            drift_ratio=-1 / 3,
            rank_skew_ratio=4 / 3,
            data_wait_ratio_max=1 / 3,
            data_wait_ratio_mean=1 / 3,
            host_memory_peak_bytes=2**42,
            device_memory_peak_bytes=2**42,
            loss=1 / 3,
            mfu_ratio=1 / 3,
        ),
        batch=BatchTruth(asked_global_batch_size=2**20, global_batch_size=2**20, per_device=2**16, microbatches=2**14),
        environment=Environment(
            config_hash="0" * 12,
            device="N" * 80,
            device_count=256,
            versions=dict.fromkeys(("composer", "diffusers", "sdbench", "streaming", "torch"), "10.10.10+cu999"),
            driver="999.999.99",
            nccl="2.99.9",
        ),
        seconds_to_first_step=1 / 3,
    )


def test_the_longest_result_fits_and_comes_back_as_it_was() -> None:
    text = message(full())
    assert len(text.encode()) <= LIMIT_BYTES
    assert report_in(text) == full()


@pytest.mark.parametrize("tail", ["x" * 10_000, "é" * 10_000, '"\\\n' * 5_000])
def test_a_long_tail_gives_way_and_its_end_stays(tail: str) -> None:
    error = ReportError(code=70, rank=3, where="training", tail=tail + "THE END")
    text = message(Report(attempt="a", error=error))
    back = report_in(text)
    assert len(text.encode()) <= LIMIT_BYTES
    assert back is not None
    assert back.error is not None
    assert back.error.tail.endswith("THE END")


def test_a_cut_message_is_no_report() -> None:
    text = message(full())
    assert all(report_in(text[:end]) is None for end in range(0, len(text), 7))
    assert all(report_in(text[start:]) is None for start in range(1, len(text), 7))


def test_an_altered_message_is_no_report() -> None:
    text = message(full())
    assert report_in(text.replace('"batches":1000000', '"batches":1000001')) is None
    assert report_in(text.replace('"checksum":"', '"checksum":"0')) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"x"', "{}", "Killed", "\x00"])
def test_other_words_are_no_report(text: str) -> None:
    assert report_in(text) is None


def test_what_is_not_a_number_is_not_written() -> None:
    measured = full().measurement
    assert measured is not None
    broken = measured.model_copy(update={"loss": float("nan")})
    with pytest.raises(ValueError, match=r"(?i)nan|json"):
        message(full().model_copy(update={"measurement": broken}))
