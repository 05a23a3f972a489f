"""Tests that a known step period is measured within 0.2 %, on one rank and on two."""

import pytest

from sdbench_trainer.report import Measurement
from trainer.launching import launched, program, run_config

PERIOD = 0.25
STEPS = 40
BATCH = 8
WITHIN = 0.002


def measured(devices: int, *arguments: str) -> Measurement:
    window = {"warmupBatches": 5, "batches": STEPS}
    config = run_config(devices, {"globalBatchSize": BATCH, "deviceMicrobatchSize": BATCH, "window": window})
    ended = launched(config, *program("paced", str(PERIOD), *arguments))
    assert ended.code == 0, ended.output
    assert ended.report is not None
    assert ended.report.measurement is not None
    return ended.report.measurement


def test_the_period_is_measured_within_0_2_percent_despite_pauses_and_the_end_of_an_epoch() -> None:
    result = measured(1)
    assert result.batches == STEPS
    assert result.images == STEPS * BATCH
    assert result.images_per_second == pytest.approx(BATCH / PERIOD, rel=WITHIN)
    assert result.seconds == pytest.approx(STEPS * PERIOD, rel=WITHIN)


def test_two_ranks_keep_the_period_and_only_the_rank_with_the_slow_loader_waits() -> None:
    result = measured(2, "slow=1")
    slow = result.data_wait_ratio_max
    other = 2 * result.data_wait_ratio_mean - slow
    assert result.images_per_second == pytest.approx(BATCH / PERIOD, rel=WITHIN)
    assert result.foreign_cpu_ratio is not None
    assert slow >= 0.06 / PERIOD * (1 - WITHIN)
    assert other < slow / 5
