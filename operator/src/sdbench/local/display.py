"""Shows the progress of a local run: a live bar for each running Trial on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.local.progress import Step, outcome_line, title

MARKS = {TrialPhase.SUCCEEDED: "[green]✓[/]", TrialPhase.FAILED: "[red]✗[/]", TrialPhase.SKIPPED: "–"}
"""What stands before the line of an ended Trial."""


class Display(Protocol):
    """Is shown the present state, as often as there is one."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, benchmark: Benchmark, steps: Mapping[int, Step]) -> None:
        """The rows as they are stored, and how far the running Trials are."""


def display_on(console: Console) -> Display:
    """Bars where the console is a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console)


class Lines:
    """One line for every change, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, benchmark: Benchmark, steps: Mapping[int, Step]) -> None:
        for row in benchmark.status.trials:
            said = outcome_line(row) if row.phase in MARKS else _words(row, steps)
            if said and self._said.get(row.trial) != said:
                self._said[row.trial] = said
                self._console.print(f"{title(row, benchmark)}: {said}", markup=False, highlight=False, soft_wrap=True)


def _words(row: TrialRow, steps: Mapping[int, Step]) -> str:
    """Words that change seldom: the stage of a running Trial; nothing for one that waits."""
    if row.trial in steps:
        return steps[row.trial].words
    return "stopping" if row.phase is TrialPhase.STOPPING else ""


class Bars:
    """A bar for each running Trial; the ended ones stay above as lines."""

    def __init__(self, console: Console) -> None:
        self._told: set[int] = set()
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            TextColumn("  {task.description}"),
            TextColumn("{task.fields[words]}", style="cyan"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[batches]}"),
            TextColumn("{task.fields[rate]}", style="bold"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, benchmark: Benchmark, steps: Mapping[int, Step]) -> None:
        for row in benchmark.status.trials:
            if row.phase in MARKS and row.trial not in self._told:
                self._told.add(row.trial)
                self._progress.console.print(
                    f"{MARKS[row.phase]} {escape(title(row, benchmark))}: {escape(outcome_line(row))}",
                    highlight=False,
                    soft_wrap=True,
                )
            self._draw(title(row, benchmark), row.trial, steps.get(row.trial))

    def _draw(self, name: str, trial: int, step: Step | None) -> None:
        if step is None:
            if trial in self._bars:
                self._progress.remove_task(self._bars.pop(trial))
            return
        batches = f"{step.done}/{step.of} batches" if step.of else ""
        if trial not in self._bars:
            self._bars[trial] = self._progress.add_task(
                escape(name), total=step.of, words=step.words, batches=batches, rate=step.rate
            )
        self._progress.update(
            self._bars[trial],
            description=escape(name),
            total=step.of,
            completed=step.done,
            words=step.words,
            batches=batches,
            rate=step.rate,
        )
