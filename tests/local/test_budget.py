"""Tests that a budget limits a local run as it limits one in a cluster."""

from pathlib import Path

from local.runs import document, processes_of, question, sdbench

LITTLE = "0.0006"
"""Device-hours: two seconds, in which no trainer can import its packages."""


def with_limits(file: Path, limits: str) -> Path:
    file.write_text(file.read_text().replace("  trainer:", f"  limits: {limits}\n  trainer:"))
    return file


def test_a_run_that_has_used_up_its_budget_is_stopped_with_a_reason(tmp_path: Path) -> None:
    results = tmp_path / "results"
    file = with_limits(question(tmp_path, repeats=2), f'{{deviceHours: "{LITTLE}"}}')
    done = sdbench("run", file, "--local", "--results", results)
    assert done.returncode == 1, done.stdout + done.stderr
    status = document(results)["status"]
    assert [(row["phase"], row["reason"]) for row in status["trials"]] == [("Failed", "BudgetExceeded")] * 2
    assert "limits.deviceHours, is used up" in status["trials"][0]["message"]
    assert 2 <= status["spentDeviceSeconds"] <= 20
    assert processes_of(results) == []


def test_a_benchmark_whose_warm_up_alone_costs_more_is_refused(tmp_path: Path) -> None:
    results = tmp_path / "results"
    file = with_limits(question(tmp_path, warmup_seconds=60), '{deviceHours: "0.001"}')
    refused = sdbench("run", file, "--local", "--results", results)
    assert refused.returncode == 2
    assert "spec.limits: the warm-ups alone take 0.017 device-hours" in refused.stderr
    assert not results.exists()
