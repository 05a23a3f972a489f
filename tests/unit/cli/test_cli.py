"""Tests the commands, and that each refuses wrong input with a sentence and an exit code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from page import sample
from sdbench import __version__
from sdbench.cli import app
from sdbench.local.documents import stored
from unit.core.measure.test_projection import SEED_IMAGES, SEED_PRICE, SEED_TABLE

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "crds/examples/tiny.yaml"


def sdbench(*arguments: str | Path) -> Result:
    """Runs the command with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"KUBECONFIG": "/nowhere"})


@pytest.mark.parametrize(("devices", "rate", "days", "hours", "cost"), SEED_TABLE)
def test_project_reproduces_every_cell_of_the_published_table(
    devices: int, rate: str, days: str, hours: str, cost: str
) -> None:
    done = sdbench(
        *("project", "--devices", str(devices), "--images-per-second", rate, "--images", str(SEED_IMAGES)),
        *("--price", str(SEED_PRICE), "--seed-rounding", "--format", "json"),
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"days": days, "deviceHours": hours, "cost": cost}


def test_project_is_exact_without_seed_rounding() -> None:
    done = sdbench(
        *("project", "--devices", "8", "--images-per-second", "100", "--images", "86400000"),
        *("--price", "0.10", "--format", "json"),
    )
    assert {key: float(value) for key, value in json.loads(done.stdout).items()} == {
        "days": 10.0,
        "deviceHours": 1920.0,
        "cost": 192.0,
    }


def test_project_adds_stages() -> None:
    done = sdbench(*("project", "--devices", "1", "--stage", "86400:1", "--stage", "172800:2", "--format", "json"))
    assert float(json.loads(done.stdout)["days"]) == 2.0


def test_the_table_of_project_has_two_decimals() -> None:
    done = sdbench("project", "--devices", "8", "--stage", "2867000000:128.2", "--price", "2")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["Days", "258.84"],
        ["Device-hours", "49,696.65"],
        ["Cost", "99,393.31"],
    ]


WRONG = {
    "a rate without images": (("project", "--devices", "8", "--images-per-second", "1"), "--images"),
    "a stage without a rate": (("project", "--devices", "8", "--stage", "100"), "--stage must be IMAGES:RATE"),
    "both ways": (("project", "--devices", "8", "--images", "1", "--stage", "1:1"), "--stage IMAGES:RATE for each"),
    "a rate of 0": (("project", "--devices", "8", "--stage", "1:0"), "never ends"),
    "a rate that is not a number": (("project", "--devices", "8", "--stage", "1:NaN"), "is not a number"),
    "a negative price": (("project", "--devices", "8", "--stage", "1:1", "--price", "-1"), "--price"),
    "no devices": (("project", "--devices", "0", "--stage", "1:1"), "--devices"),
    "a run without --local": (("run", TINY), f"kubectl apply -f {TINY}"),
    "resume and overwrite": (("run", TINY, "--local", "--resume", "--overwrite"), "exclude each other"),
    "an absent file": (("run", "absent.yaml", "--local"), "absent.yaml: cannot be read: No such file"),
    "an absent report": (("report", "absent.json"), "absent.json: cannot be read: No such file"),
    "an unknown format": (("report", TINY, "--format", "pdf"), "--format"),
    "an unknown command": (("fly",), "fly"),
}


@pytest.mark.parametrize(("arguments", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_is_a_sentence_and_exit_2(arguments: tuple[str | Path, ...], sentence: str) -> None:
    done = sdbench(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_validate_shows_the_plan() -> None:
    done = sdbench("validate", TINY)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "tiny: 2 Trials of 2 Points, on up to 2 CPU processes",
        "  devices=1: 1 pod of 1 device, global batch 8, 1 repeat",
        "  devices=2: 2 pods of 1 device, global batch 8, 1 repeat",
    ]


def test_validate_shows_the_batch_that_runs_in_place_of_one_that_does_not_divide(tmp_path: Path) -> None:
    file = tmp_path / "question.yaml"
    wide = TINY.read_text().replace("counts: [1, 2]", "counts: [96, 128]").replace("perPod: 1 ", "perPod: 8 ")
    file.write_text(wide.replace("globalBatchSize: 8", "globalBatchSize: 2048\n    allowRaggedBatch: true"))
    done = sdbench("validate", file)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1:] == [
        "  devices=96: 12 pods of 8 devices, global batch 2048 (asked 2048, runs 2016: 21 on each device, in 6 "
        "microbatches, the last of 1), 1 repeat",
        "  devices=128: 16 pods of 8 devices, global batch 2048, 1 repeat",
    ]


def test_validate_counts_the_most_repeats(tmp_path: Path) -> None:
    file = tmp_path / "question.yaml"
    repeats = 'repeats: {min: 2, max: 4, targetCoefficientOfVariation: "0.02"}'
    file.write_text(TINY.read_text().replace("spec:\n", f"spec:\n  {repeats}\n"))
    output = sdbench("validate", file).stdout.splitlines()
    assert output[0] == "tiny: 8 Trials of 2 Points, on up to 2 CPU processes"
    assert output[1].endswith(", 2 to 4 repeats")


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("imageSize: 64", "imageSize: 100", "spec.trainer.imageSize: Invalid value: 100"),
        (
            "globalBatchSize: 8",
            "globalBatchSize: 9",
            "spec.trainer.globalBatchSize: 9 images for each of 1 devices do not divide",
        ),
        ("counts: [1, 2]", "counts: [1, 1]", "spec.devices.counts: write each count once"),
        ("precision: fp32", "precision: amp_fp16", "spec.trainer.precision: amp_fp16 needs an accelerator"),
    ],
)
def test_validate_names_the_field(tmp_path: Path, right: str, wrong: str, sentence: str) -> None:
    file = tmp_path / "question.yaml"
    file.write_text(TINY.read_text().replace(right, wrong))
    done = sdbench("validate", file)
    assert done.exit_code == 2
    assert f"{file}: {sentence}" in done.stderr


def test_validate_continues_after_an_invalid_file(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("kind: Secret")
    done = sdbench("validate", file, TINY)
    assert done.exit_code == 2
    assert "tiny: 2 Trials" in done.stdout


def test_report_reads_a_file_and_writes_to_the_output(tmp_path: Path) -> None:
    file = tmp_path / "benchmark.json"
    file.write_text(stored(sample.complete()))
    assert "2,589.4" in sdbench("report", file).stdout
    assert json.loads(sdbench("report", file, "--format", "json").stdout)["complete"] is True
    output = tmp_path / "deep" / "report.html"
    done = sdbench("report", file, "--format", "html", "--output", output)
    assert (done.exit_code, done.stdout) == (0, "")
    assert output.read_text().startswith("<!doctype html>")


def test_report_without_a_cluster_is_refused() -> None:
    done = sdbench("report", "a100-scaling")
    assert done.exit_code == 1
    assert "No cluster is configured" in done.stderr


@pytest.mark.parametrize("command", ["", "run", "validate", "report", "gate", "project", "operator"])
def test_every_command_has_help(command: str) -> None:
    done = sdbench(*filter(None, (command, "--help")))
    assert done.exit_code == 0
    assert "Usage:" in done.stdout


def test_the_version_is_shown() -> None:
    assert sdbench("--version").stdout == f"sdbench {__version__}\n"
