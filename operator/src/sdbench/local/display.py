"""Shows the progress of a local run: a live bar for each running Trial on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import TrialPhase
from sdbench.local.progress import Step, outcome_line, title

MARKS = {TrialPhase.SUCCEEDED: "[green]✓[/]", TrialPhase.FAILED: "[red]✗[/]", TrialPhase.SKIPPED: "–"}
"""The mark before the line of an ended Trial."""


class Display(Protocol):
    """A view of the run, updated at every pass."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, benchmark: Benchmark, steps: Mapping[int, Step]) -> None:
        """Shows the stored rows, and the Steps of the running Trials by index."""


def display_on(console: Console) -> Display:
    """Bars if the console is a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console)


class Lines(Display):
    """One line for every change, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: dict[int, str] = {}

    def show(self, benchmark: Benchmark, steps: Mapping[int, Step]) -> None:
        for row in benchmark.status.trials:
            if row.phase in MARKS:
                line = outcome_line(row)
            elif row.trial in steps:
                # The stage alone: batches and rates would print a line every half second.
                line = steps[row.trial].stage
            else:
                line = "stopping" if row.phase is TrialPhase.STOPPING else ""
            if line and self._printed.get(row.trial) != line:
                self._printed[row.trial] = line
                # A message may contain brackets, which are not markup.
                self._console.print(f"{title(row, benchmark)}: {line}", markup=False, highlight=False, soft_wrap=True)


class Bars(Display):
    """A bar for each running Trial; ended Trials stay above as lines."""

    def __init__(self, console: Console) -> None:
        self._ended: set[int] = set()
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            TextColumn("  {task.description}"),
            TextColumn("{task.fields[stage]}", style="cyan"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[batches]}"),
            TextColumn("{task.fields[rate]}", style="bold"),
            TimeElapsedColumn(),
            console=console,
            # The bars disappear at the end, before the table is printed.
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, benchmark: Benchmark, steps: Mapping[int, Step]) -> None:
        for row in benchmark.status.trials:
            name = escape(title(row, benchmark))
            if row.phase in MARKS and row.trial not in self._ended:
                self._ended.add(row.trial)
                line = f"{MARKS[row.phase]} {name}: {escape(outcome_line(row))}"
                self._progress.console.print(line, highlight=False, soft_wrap=True)
            if row.trial in steps:
                self._draw(name, row.trial, steps[row.trial])
            elif row.trial in self._bars:
                self._progress.remove_task(self._bars.pop(row.trial))

    def _draw(self, name: str, trial: int, step: Step) -> None:
        batches = f"{step.done}/{step.total} batches" if step.total else ""
        fields: dict[str, Any] = {"stage": step.stage, "batches": batches, "rate": step.rate}
        if trial not in self._bars:
            self._bars[trial] = self._progress.add_task(name, total=step.total, **fields)
        # The total changes from the batches of the warm-up to those of the window.
        bar = self._bars[trial]
        self._progress.update(bar, description=name, total=step.total, completed=step.done, **fields)
