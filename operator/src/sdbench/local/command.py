"""Carries out `sdbench run FILE --local`, from the file to the stored result."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import TrialPhase
from sdbench.core.plan.validate import accepted
from sdbench.local.display import display_on
from sdbench.local.documents import only_benchmark
from sdbench.local.interruption import interruptible
from sdbench.local.launcher_state import TAIL_LINES, log_tail
from sdbench.local.loop import RunContext, run_locally, steady_clock, with_identity
from sdbench.local.named_results import references, unusable_references
from sdbench.local.preflight import on_this_machine, warnings
from sdbench.local.results import Results


@dataclass(frozen=True)
class RunOptions:
    """The options of the command."""

    shards: Path | None
    results: Path
    overwrite: bool
    resume: bool
    baseline: Path | None = None


@dataclass(frozen=True)
class RunResult:
    """The Benchmark at the end of the run, where it is stored, and the exit code if a signal ended the run."""

    benchmark: Benchmark
    results: Results
    interrupted: int | None


def run_file(file: Path, options: RunOptions, console: Console) -> RunResult:
    """Runs the Benchmark in the file. Raises InvalidFile, PlanRefused or LocalRunRefused before anything starts."""
    requested = on_this_machine(only_benchmark(file), options.shards)
    trials = accepted(requested)
    named = references(requested, options.results, options.baseline)
    results = Results(options.results / requested.metadata.name)
    clock = steady_clock()
    # Nothing is written before all checks have passed, and nothing stored is read before the folder is locked.
    with results.locked(), interruptible() as interruption:
        stored = results.resumed(requested) if options.resume else results.fresh(requested, options.overwrite)
        # Text, because rich would read the brackets of a path as markup.
        for sentence in (*warnings(requested.spec), *unusable_references(named)):
            console.print(Text(f"Note: {sentence}"), soft_wrap=True)
        counts = sorted({trial.point.devices for trial in trials})
        devices = f"{', '.join(f'{count:,}' for count in counts)} {'device' if counts == [1] else 'devices'}"
        count = "1 Trial" if len(trials) == 1 else f"{len(trials):,} Trials, one after the other,"
        console.print(Text(f"{count} on {devices} of this machine → {results.folder}"), soft_wrap=True)
        with display_on(console) as display:
            context = RunContext(results, os.environ, clock, display, interruption, named)
            benchmark = run_locally(with_identity(stored, str(uuid.uuid4()), clock()), context)
        return RunResult(benchmark, results, interruption.exit_code)


def failure_lines(result: RunResult) -> Iterator[str]:
    """The path and the last lines of the log of each failed Trial that ran."""
    for row in result.benchmark.status.trials:
        if row.phase is TrialPhase.FAILED and row.job is not None:
            log = result.results.log_of(row.job)
            if log.exists():
                yield f"Log of Trial {row.trial}: {log}; its last {TAIL_LINES} lines:"
                yield log_tail(log)
