"""Tests that `sdbench gate` judges a finished Benchmark again, with the exit code of its verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import TrialPhase
from sdbench.api.status_gate import GateRow, Verdict
from sdbench.local.documents import stored
from unit.cli.test_cli import TINY, sdbench
from unit.core.gate.gates import answer, asked, row
from unit.core.worlds import benchmark


def kept(folder: Path, of: Benchmark) -> Path:
    """Stores the Benchmark as a local run does."""
    document = folder / of.metadata.name / "benchmark.json"
    document.parent.mkdir(exist_ok=True)
    document.write_text(stored(of))
    return document


def measured(folder: Path, gate: dict[str, Any] | None = None, rate: str = "100", name: str = "new") -> Path:
    return kept(folder, answer(asked(gate), row(rate=rate, spread="0.1"), name=name))


GATES = {
    "every limit holds": ({"minImagesPerSecond": "99", "maxDays": "50"}, 0, "Gate: Pass (2 passed, 0 failed, 0 lack"),
    "a limit is missed": ({"minImagesPerSecond": "101"}, 1, "Fail: ImagesPerSecond of devices=1 is 100: the gate asks"),
    "a value is missing": ({"maxDays": "1"}, 3, "InsufficientData: Days of devices=1 cannot be judged"),
    "the baseline is missing": ({"baseline": {"name": "old"}}, 3, "Benchmark old does not exist: there is no"),
}


@pytest.mark.parametrize(("gate", "code", "output"), GATES.values(), ids=GATES.keys())
def test_the_exit_code_is_the_verdict(tmp_path: Path, gate: dict[str, Any], code: int, output: str) -> None:
    of = answer(asked(gate), row(days=None) if code == 3 else row(), name="new")
    done = sdbench("gate", kept(tmp_path, of))
    assert done.exit_code == code, done.output
    assert output in done.stdout


def test_the_baseline_is_read_from_the_same_results_folder(tmp_path: Path) -> None:
    measured(tmp_path, name="old")
    assert sdbench("gate", measured(tmp_path, {"baseline": {"name": "old"}}, "99.5")).exit_code == 0
    done = sdbench("gate", measured(tmp_path, {"baseline": {"name": "old"}}, "90"))
    assert done.exit_code == 1
    assert "Regression of devices=1 against old is 0.1" in done.stdout


def test_a_file_is_a_baseline_for_a_benchmark_without_a_gate(tmp_path: Path) -> None:
    old, slower = measured(tmp_path, name="old"), measured(tmp_path, rate="97")
    assert sdbench("gate", slower, "--baseline", old).exit_code == 1, "the default maxRegression is 2 %"
    assert sdbench("gate", slower, "--baseline", old, "--max-regression", "0.05").exit_code == 0
    assert sdbench("gate", slower, "--baseline", old, "--max-regression", "0.03").exit_code == 3


def test_the_other_limits_apply_beside_a_given_baseline(tmp_path: Path) -> None:
    old = measured(tmp_path, name="old")
    new = measured(tmp_path, {"minImagesPerSecond": "101"})
    done = sdbench("gate", new, "--baseline", old, "--format", "json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["verdict"], found["passed"], found["failed"]) == ("Fail", 1, 1)
    assert found["baseline"]["points"][0]["regression"] == "0.000000"


def test_a_stored_verdict_is_ignored(tmp_path: Path) -> None:
    of = answer(asked({"minImagesPerSecond": "101"}), row(), name="new")
    document = json.loads(stored(of))
    document["status"]["gate"] = {"verdict": "Pass", "passed": 1}
    file = tmp_path / "new.json"
    file.write_text(json.dumps(document))
    assert sdbench("gate", file).exit_code == 1


def test_a_benchmark_that_has_not_ended_lacks_data(tmp_path: Path) -> None:
    of = answer(asked({"minImagesPerSecond": "1"}), row(), name="new")
    rows = tuple(one.model_copy(update={"phase": TrialPhase.RUNNING}) for one in of.status.trials)
    running = of.model_copy(update={"status": of.status.model_copy(update={"trials": rows})})
    done = sdbench("gate", kept(tmp_path, running))
    assert (done.exit_code, done.stdout) == (3, "Gate: InsufficientData. The benchmark has not ended\n")


WRONG = {
    "no gate and no baseline": ((), "tiny has no spec.gate: name the results to compare with by --baseline FILE"),
    "a loss without a baseline": (("--max-regression", "0.1"), "--max-regression needs a baseline"),
    "a loss of everything": (("--baseline", TINY, "--max-regression", "2"), "below 1, such as 0.02 for 2 %, not '2'"),
    "a negative loss": (("--baseline", TINY, "--max-regression", "-1"), "below 1, such as 0.02 for 2 %, not '-1'"),
    "an absent baseline": (("--baseline", "absent.json"), "absent.json: cannot be read"),
}


@pytest.mark.parametrize(("options", "output"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_is_a_sentence_and_exit_2(options: tuple[str | Path, ...], output: str) -> None:
    done = sdbench("gate", TINY, *options)
    assert done.exit_code == 2
    assert output in done.stderr
    assert done.stdout == ""


def test_a_name_without_a_cluster_is_refused() -> None:
    done = sdbench("gate", "a100-scaling")
    assert done.exit_code == 2
    assert "No cluster is configured" in done.stderr


def test_validate_shows_the_limits_and_the_stages(tmp_path: Path) -> None:
    file = tmp_path / "question.yaml"
    gate = '{devices: [2], minScalingEfficiency: "0.60", baseline: {name: old, maxRegression: "0.03"}}'
    stages = '[{images: 1500000000, imageSize: 32, rateRatio: "2.9"}, {images: 5000000, imageSize: 64}]'
    text = TINY.read_text().replace("projection: {images: 2867200000}", f"projection: {{stages: {stages}}}")
    file.write_text(f"{text}  gate: {gate}\n")
    done = sdbench("validate", file)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-2:] == [
        "  projection: 1.505 billion images (1.5 billion at 32 px, then 5 million at 64 px)",
        "  gate at 2 devices: ScalingEfficiency at least 0.60, Regression against old at most 0.03",
    ]


def test_validate_refuses_a_gate_that_can_never_be_judged(tmp_path: Path) -> None:
    file = tmp_path / "question.yaml"
    file.write_text(f'{TINY.read_text()}  gate: {{devices: [3], maxDays: "1"}}\n')
    done = sdbench("validate", file)
    assert done.exit_code == 2
    assert "spec.gate.devices: every count must be in devices.counts" in done.stderr


@pytest.mark.parametrize(("verdict", "code"), [("Pass", 0), ("Fail", 1), ("InsufficientData", 1), (None, 0)])
def test_a_complete_run_succeeds_only_if_its_gate_passes(tmp_path: Path, verdict: str | None, code: int) -> None:
    """The run is resumed after its end, so that it measures nothing and judges only if there is no verdict yet."""
    asked_for = asked({"minImagesPerSecond": "1"})
    question = tmp_path / "question.json"
    question.write_text(stored(benchmark(asked_for, name="new")))
    done = answer(asked_for, row(), name="new", creation_timestamp="2030-01-01T00:00:00Z")
    gate = GateRow(verdict=Verdict(verdict)) if verdict is not None else None
    kept(tmp_path, done.model_copy(update={"status": done.status.model_copy(update={"gate": gate})}))
    run = sdbench("run", question, "--local", "--resume", "--results", tmp_path)
    assert run.exit_code == code, run.output
    assert ("the gate did not pass" in run.stderr) == (code == 1)


def test_a_baseline_is_refused_for_a_spec_without_one(tmp_path: Path) -> None:
    run = sdbench("run", TINY, "--local", "--shards", shards(tmp_path), "--results", tmp_path, "--baseline", TINY)
    assert run.exit_code == 2
    assert "--baseline replaces spec.gate.baseline, which is absent" in run.stderr
    assert not (tmp_path / "tiny").exists()


def shards(folder: Path) -> Path:
    """A folder with an index, as shards have one."""
    (folder / "shards").mkdir()
    (folder / "shards" / "index.json").write_text("{}")
    return folder / "shards"
