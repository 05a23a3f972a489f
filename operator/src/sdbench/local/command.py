"""Carries out `sdbench run FILE --local`, from the file to the stored answer."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import TrialPhase
from sdbench.core.plan.grid import PlanRefused, Trial
from sdbench.core.plan.validate import accepted
from sdbench.local.display import display_on
from sdbench.local.documents import InvalidFile, only_benchmark
from sdbench.local.interruption import interruptible
from sdbench.local.launcher_state import TAIL_LINES, log_tail
from sdbench.local.loop import RunContext, begun, run_locally, steady_clock
from sdbench.local.named_results import references, unusable_references
from sdbench.local.preflight import LocalRunRefused, on_this_machine, warnings
from sdbench.local.results import Results


@dataclass(frozen=True)
class RunOptions:
    """How the person wants it run."""

    shards: Path | None
    results: Path
    overwrite: bool
    resume: bool
    baseline: Path | None = None


@dataclass(frozen=True)
class RunResult:
    """The Benchmark as it was left, where it is stored, and the exit code when a signal ended the run."""

    benchmark: Benchmark
    results: Results
    interrupted: int | None


def run_file(file: Path, wishes: RunOptions, console: Console) -> RunResult:
    """Run the question in the file. Raises InvalidFile, PlanRefused or Refused before anything starts."""
    asked = on_this_machine(only_benchmark(file), wishes.shards)
    trials = accepted(asked)
    others = references(asked, wishes.results, wishes.baseline)
    results = Results(wishes.results / asked.metadata.name)
    clock = steady_clock()
    with results.held(), interruptible() as interruption:
        stored = results.resumed(asked) if wishes.resume else results.fresh(asked, wishes.overwrite)
        for sentence in (*warnings(asked.spec), *unusable_references(others)):
            console.print(Text(f"Note: {sentence}"), soft_wrap=True)
        console.print(Text(_announcement(trials, results)), soft_wrap=True)
        with display_on(console) as watch:
            around = RunContext(results, os.environ, clock, watch, interruption, others)
            benchmark = run_locally(begun(stored, str(uuid.uuid4()), clock()), around)
        return RunResult(benchmark, results, interruption.exit_code)


def _announcement(trials: tuple[Trial, ...], results: Results) -> str:
    counts = sorted({trial.point.devices for trial in trials})
    devices = ", ".join(f"{count:,}" for count in counts)
    many = "1 Trial" if len(trials) == 1 else f"{len(trials):,} Trials, one after the other,"
    return f"{many} on {devices} {'device' if counts == [1] else 'devices'} of this machine → {results.folder}"


def failure_lines(answer: RunResult) -> Iterator[str]:
    """For each failed Trial that ran: where its log lies, and how it ends."""
    for row in answer.benchmark.status.trials:
        if row.phase is TrialPhase.FAILED and row.job is not None:
            log = answer.results.log_of(row.job)
            if log.exists():
                yield f"Log of Trial {row.trial}: {log}; its last {TAIL_LINES} lines:"
                yield log_tail(log)


__all__ = ["InvalidFile", "LocalRunRefused", "PlanRefused", "RunOptions", "RunResult", "failure_lines", "run_file"]
