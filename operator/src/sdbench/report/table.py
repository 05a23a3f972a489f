"""Prints the result on a terminal: the table, the unmeasured Trials, the headline and the verdict."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sdbench.api.benchmark import Benchmark
from sdbench.report.answers import headline, projection_messages, scaling_cells, spent, state, unmeasured
from sdbench.report.gate_lines import gate_lines
from sdbench.report.notes import across, numbered
from sdbench.report.scaling_lines import scaling_fit_sentences

GAP = 2  # characters between two columns
WIDE = 1_000  # characters, more than any table has


def scaling_table(benchmark: Benchmark, width: int) -> Table:
    """One row for each measured Point; if the table is wider than `width`, its headings wrap."""
    headings, body = scaling_cells(benchmark)
    widths = _widths(headings, body)
    if sum(widths) + GAP * (len(widths) - 1) > width:
        widths = _widths([max(heading.split(), key=len) for heading in headings], body)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading, column in zip(headings, widths, strict=True):
        table.add_column(heading, justify="left" if heading == "Point" else "right", width=column)
    for row in body:
        table.add_row(*(Text(cell, no_wrap=True) for cell in row))
    return table


def _widths(headings: Sequence[str], body: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(headings, *body, strict=True)]


def note_lines(benchmark: Benchmark) -> tuple[str, ...]:
    """A line for each note that the table refers to, and for each that concerns all Points."""
    of_points = (f"Note {index}: {note}" for index, note in enumerate(numbered(benchmark), start=1))
    return (*of_points, *(f"Note: {note}" for note in across(benchmark)))


def show(benchmark: Benchmark, console: Console) -> None:
    """Prints the result."""
    console.print(Text.assemble((benchmark.metadata.name, "bold"), "  ", state(benchmark)), soft_wrap=True)
    if benchmark.status.points:
        table = scaling_table(benchmark, console.width)
        # Rich cuts the cells of a table that is wider than its console, whereas a narrow terminal wraps the lines.
        width, console.width = console.width, WIDE
        console.print(table, crop=False, no_wrap=True)
        console.width = width
    lines = (
        *note_lines(benchmark),
        *scaling_fit_sentences(benchmark),
        *(
            f"Trial {row.trial} ({row.point}, repeat {row.repeat}): {row.reason}. {row.message}".rstrip()
            for row in unmeasured(benchmark)
        ),
        headline(benchmark),
        *projection_messages(benchmark),
        spent(benchmark),
        *gate_lines(benchmark),
    )
    for line in filter(None, lines):
        console.print(Text(line), soft_wrap=True)
