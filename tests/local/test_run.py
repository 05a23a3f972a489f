"""Tests local runs with the real launcher, the real trainer and the tiny model."""

import signal
from pathlib import Path

import pytest

from harness.polling import until
from local.runs import Running, document, processes_of, question, sdbench, shards


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run for one and two devices on local shards: its results folder and its output."""
    folder = tmp_path_factory.mktemp("finished")
    file, built = question(folder, counts="[2, 1]"), shards(folder)
    done = sdbench("run", file, "--local", "--shards", built, "--results", folder / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results", done.stdout


def same_arguments(results: Path) -> tuple[str | Path, ...]:
    """The arguments of the run with these results."""
    folder = results.parent
    return ("run", folder / "question.yaml", "--local", "--shards", folder / "shards", "--results", results)


def test_the_stored_benchmark_is_complete_and_has_both_points(finished: tuple[Path, str]) -> None:
    status = document(finished[0])["status"]
    true = {condition["type"] for condition in status["conditions"] if condition["status"] == "True"}
    assert {"Accepted", "Complete", "CleanedUp"} <= true
    assert [row["devices"] for row in status["points"]] == [1, 2]
    for row in status["points"]:
        assert float(row["imagesPerSecond"]) > 0
        assert float(row["cost"]) == pytest.approx(2 * float(row["deviceHours"]), rel=1e-6)
    assert [row["measurement"]["batches"] for row in status["trials"]] == [3, 3]


def test_progress_and_the_table_are_plain_lines_without_a_terminal(finished: tuple[Path, str]) -> None:
    output = finished[1]
    assert "Trial 0 devices=1: starting" in output
    assert "Trial 1 devices=2: starting" in output
    assert "Efficiency" in output
    assert "100.0 %" in output
    assert "\x1b" not in output


def test_local_shards_replace_the_data_and_are_read_in_place(finished: tuple[Path, str]) -> None:
    folder = finished[0].parent / "shards"
    assert document(finished[0])["spec"]["data"] == {"remote": folder.as_uri()}
    assert sorted(path.name for path in folder.iterdir()) == ["000000", "index.json", "left-out.jsonl"]


def test_no_process_is_left_after_the_end(finished: tuple[Path, str]) -> None:
    assert processes_of(finished[0]) == []


def test_a_second_run_into_the_same_folder_is_refused_with_a_sentence(finished: tuple[Path, str]) -> None:
    results, _ = finished
    before = document(results)
    again = sdbench(*same_arguments(results))
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert "--overwrite" in again.stderr
    assert document(results) == before


def test_resuming_a_complete_run_shows_the_result_and_starts_nothing(finished: tuple[Path, str]) -> None:
    results, _ = finished
    before = document(results)
    again = sdbench(*same_arguments(results), "--resume")
    assert again.returncode == 0, again.stderr
    assert document(results)["status"]["trials"] == before["status"]["trials"]


def test_an_interrupted_and_a_killed_run_keep_their_measurements_and_leave_no_process(tmp_path: Path) -> None:
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


def test_a_setting_that_cpus_do_not_support_is_refused_before_anything_starts(tmp_path: Path) -> None:
    results = tmp_path / "results"
    refused = sdbench("run", question(tmp_path, precision="amp_fp16"), "--local", "--results", results)
    assert refused.returncode == 2
    assert "spec.trainer.precision: amp_fp16 needs an accelerator" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not results.exists()
