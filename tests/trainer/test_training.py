"""Tests that the trainer trains the tiny model on real photographs, with one rank and with two."""

import shutil
from pathlib import Path

import pytest

from harness.addons.s3 import S3
from sdbench_trainer.report import ExitCode, message
from trainer.launching import Ended, launched, program, run_config

STEPS = 6
WINDOW = {"warmupBatches": 2, "batches": STEPS - 2}


def lines(ended: Ended, word: str) -> list[list[str]]:
    rows = (line.removeprefix("[rank 1] ").split() for line in ended.output.splitlines())
    return [row[1:] for row in rows if row[:1] == [word]]


def losses(ended: Ended) -> list[float]:
    return [float(row[0]) for row in lines(ended, "step")]


def draws(ended: Ended) -> list[str]:
    return sorted(seed for row in lines(ended, "draws") for seed in row)


def run(shards: Path, devices: int, microbatch: int) -> Ended:
    trainer = {"globalBatchSize": 8, "deviceMicrobatchSize": microbatch, "window": WINDOW}
    ended = launched(run_config(devices, trainer, source={"local": str(shards)}), *program("losses"))
    assert ended.code == 0, ended.output
    return ended


def test_two_ranks_with_two_microbatches_have_the_samples_and_losses_of_one_rank(shards: Path) -> None:
    alone = run(shards, devices=1, microbatch=8)
    together = run(shards, devices=2, microbatch=2)
    assert len(losses(alone)) == STEPS
    assert draws(together) == draws(alone)
    assert len(set(draws(alone))) == 8 * STEPS
    both = losses(together)
    assert both[0::2] == both[1::2]
    assert both[0::2] == pytest.approx(losses(alone), rel=1e-6)


def source(s3: S3, bucket: str) -> dict[str, str]:
    return {"remote": f"s3://{bucket}/photographs", "endpoint": s3.endpoint, "region": "here"}


@pytest.fixture(scope="module")
def bucket(s3: S3, shards: Path) -> str:
    shutil.copytree(shards, s3.folder / "trainer" / "photographs")
    return "trainer"


@pytest.fixture
def credentials(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("secret")
    (folder / "AWS_ACCESS_KEY_ID").write_text(s3.access_key)
    (folder / "AWS_SECRET_ACCESS_KEY").write_text(s3.secret_key)
    return {"SDBENCH_CREDENTIALS": str(folder)}


def test_two_ranks_train_on_shards_from_an_s3_server_and_leave_a_complete_report(
    s3: S3, bucket: str, credentials: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = run_config(2, {"loader": {"workers": 1}}, source=source(s3, bucket), peakTeraflops="0.5")
    deep = tmp_path_factory.mktemp("a-folder-whose-name-is-longer-than-the-path-of-a-socket-may-be-in-this-system")
    ended = launched(config, SDBENCH_SCRATCH=str(deep), **credentials)
    assert ended.code == ExitCode.OK, ended.output
    report = ended.report
    assert report is not None
    assert report.measurement is not None
    assert report.environment is not None
    assert report.batch is not None
    assert (report.batch.global_batch_size, report.batch.per_device, report.batch.microbatches) == (4, 2, 1)
    assert report.measurement.images == 12
    assert 0 < report.measurement.loss < 10
    assert report.seconds_to_first_step is not None
    assert report.environment.device_count == 2
    assert report.environment.workload["dataParallel"] == "ddp"
    assert report.environment.flops_per_image is not None
    used = report.environment.flops_per_image * report.measurement.images_per_second
    assert report.measurement.mfu_ratio == pytest.approx(used / (2 * 0.5e12))
    assert len(message(report)) <= 2_000
    assert s3.secret_key not in ended.output


def test_a_missing_bucket_exits_65_with_a_message_that_names_it(s3: S3, credentials: dict[str, str]) -> None:
    ended = launched(run_config(source=source(s3, "nowhere")), **credentials)
    assert ended.code == ended.error_code == ExitCode.DATA_MISSING, ended.output
    assert ended.tail.startswith("No shards at s3://nowhere/photographs: ")
