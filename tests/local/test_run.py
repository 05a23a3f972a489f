"""Tests that a question is answered on this machine: the real launcher, the real trainer, the tiny model."""

import signal
from pathlib import Path

import pytest

from harness.polling import until
from local.runs import Running, document, processes_of, question, sdbench, shards


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run for one and two devices on local shards: its results folder and what it said."""
    folder = tmp_path_factory.mktemp("answered")
    file, made = question(folder, counts="[2, 1]"), shards(folder)
    done = sdbench("run", file, "--local", "--shards", made, "--results", folder / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results", done.stdout


def asked_again(results: Path) -> tuple[str | Path, ...]:
    """The arguments of the run that made these results."""
    folder = results.parent
    return ("run", folder / "question.yaml", "--local", "--shards", folder / "shards", "--results", results)


def test_the_stored_benchmark_is_complete_and_has_both_points(answered: tuple[Path, str]) -> None:
    status = document(answered[0])["status"]
    true = {condition["type"] for condition in status["conditions"] if condition["status"] == "True"}
    assert {"Accepted", "Complete", "CleanedUp"} <= true
    assert [row["devices"] for row in status["points"]] == [1, 2]
    for row in status["points"]:
        assert float(row["imagesPerSecond"]) > 0
        assert float(row["cost"]) == pytest.approx(2 * float(row["deviceHours"]), rel=1e-6)
    assert [row["measurement"]["batches"] for row in status["trials"]] == [3, 3]


def test_progress_and_the_table_are_said_in_plain_lines_where_there_is_no_terminal(answered: tuple[Path, str]) -> None:
    said = answered[1]
    assert "Trial 0 devices=1: starting" in said
    assert "Trial 1 devices=2: starting" in said
    assert "Efficiency" in said
    assert "100.0 %" in said
    assert "\x1b" not in said


def test_local_shards_take_the_place_of_the_data_and_are_read_in_place(answered: tuple[Path, str]) -> None:
    folder = answered[0].parent / "shards"
    assert document(answered[0])["spec"]["data"] == {"remote": folder.as_uri()}
    assert sorted(path.name for path in folder.iterdir()) == ["000000", "index.json", "left-out.jsonl"]


def test_nothing_runs_on_after_the_end(answered: tuple[Path, str]) -> None:
    assert processes_of(answered[0]) == []


def test_a_second_run_into_the_same_folder_is_refused_with_a_sentence(answered: tuple[Path, str]) -> None:
    results, _ = answered
    before = document(results)
    again = sdbench(*asked_again(results))
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert "--overwrite" in again.stderr
    assert document(results) == before


def test_resuming_a_complete_run_shows_the_answer_and_starts_nothing(answered: tuple[Path, str]) -> None:
    results, _ = answered
    before = document(results)
    again = sdbench(*asked_again(results), "--resume")
    assert again.returncode == 0, again.stderr
    assert document(results)["status"]["trials"] == before["status"]["trials"]


def test_an_interrupted_and_a_killed_run_lose_nothing_measured_and_leave_no_process(tmp_path: Path) -> None:
    results = tmp_path / "results"
    file = question(tmp_path, repeats=2, warmup_seconds=2)
    arguments = ("run", file, "--local", "--results", results)

    interrupted = Running(*arguments)
    interrupted.until(lambda line: line.startswith("Trial 1") and "warm-up" in line)
    interrupted.send(signal.SIGINT)
    assert interrupted.end() == 130, "".join(interrupted.lines)
    assert processes_of(results) == []
    first = document(results)["status"]["trials"][0]
    assert first["phase"] == "Succeeded"
    assert document(results)["status"]["phase"] == "Suspended"
    assert any("--resume" in line for line in interrupted.lines)

    killed = Running(*arguments, "--resume")
    killed.until(lambda line: line.startswith("Trial 1") and "warm-up" in line)
    killed.send(signal.SIGKILL)
    assert killed.end() == -signal.SIGKILL
    until(lambda: not processes_of(results), 60, "every process of the killed run to be gone")

    resumed = sdbench(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    rows = document(results)["status"]["trials"]
    assert rows[0] == first
    assert [row["phase"] for row in rows] == ["Succeeded", "Succeeded"]
    assert rows[1]["attempt"] == 3
    assert rows[1].get("failures", 0) == 1


def test_a_knob_that_cpus_cannot_honour_is_refused_before_anything_starts(tmp_path: Path) -> None:
    results = tmp_path / "results"
    refused = sdbench("run", question(tmp_path, precision="amp_fp16"), "--local", "--results", results)
    assert refused.returncode == 2
    assert "spec.trainer.precision: amp_fp16 needs an accelerator" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not results.exists()
