"""Tests that the README's example is accepted, that its report is real, and that its links lead to files."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from scale import seed
from scale.pod_finisher import report
from sdbench.api.benchmark import Benchmark
from sdbench.api.status import Status
from sdbench.cli import app
from sdbench.core.decide import decide
from sdbench.core.plan.validate import accepted
from sdbench.core.snapshot import AttemptState, CreateJob, Snapshot
from unit.core.worlds import DEFAULTS, NOON, UID, exited

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLE = ROOT / "crds/examples/a100-scaling.yaml"
LINKS = sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README)))


def block(language: str) -> str:
    """The README's only code block in this language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(text)


def ended(start: CreateJob) -> AttemptState:
    """The Attempt once all of its pods have ended, at the reference table's rate for its devices."""
    pods = [exited(index) for index in range(start.pods)]
    pods[0] = replace(pods[0], report=report(start.run, seed.RATES[start.run.devices]))
    return AttemptState(
        start.name, start.trial, 1, f"job-{start.trial}", NOON, start.pods, job_ended=True, pods=tuple(pods)
    )


def measured(benchmark: Benchmark) -> Benchmark:
    """The Benchmark after its last pass, in which each started Attempt has ended by the next pass."""
    attempts: tuple[AttemptState, ...] = ()
    for _ in range(100):
        decision = decide(Snapshot(benchmark, attempts, DEFAULTS, NOON))
        status = Status.model_validate(decision.status.document())
        benchmark = benchmark.model_copy(update={"status": status})
        deleted = {job.name for job in decision.jobs_to_delete}
        attempts = (
            *(one for one in attempts if one.name not in deleted),
            *(ended(start) for start in decision.jobs_to_create),
        )
        if status.phase == "Succeeded" and not attempts:
            return benchmark
    raise AssertionError(f"the Benchmark does not end: {status.phase}")


def test_the_example_is_an_excerpt_of_the_benchmark_of_the_same_name() -> None:
    shown, whole = yaml.safe_load(block("yaml")), yaml.safe_load(EXAMPLE.read_text())
    assert accepted(Benchmark.model_validate(shown))
    assert shown["metadata"] == whole["metadata"]
    for part, settings in shown["spec"].items():
        assert settings.items() <= whole["spec"][part].items()


def test_the_report_is_what_the_command_prints_for_the_reference_rates(tmp_path: Path) -> None:
    document = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"] |= {"uid": UID, "generation": 1}
    file = tmp_path / "a100-scaling.json"
    file.write_text(measured(Benchmark.model_validate(document)).model_dump_json(by_alias=True))
    printed = CliRunner().invoke(app, ["report", str(file)], env={"COLUMNS": "200"})
    assert printed.exit_code == 0, printed.output
    lines = [line.rstrip() for line in printed.output.splitlines()]
    for line in block("text").splitlines():
        assert line.rstrip() in lines, printed.output


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()
