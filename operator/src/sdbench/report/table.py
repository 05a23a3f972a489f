"""Prints the answer on a terminal: the table, what was not measured, the verdict."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sdbench.api.benchmark import Benchmark
from sdbench.report.answers import cells, columns, headline, projection_messages, spent, state, unmeasured
from sdbench.report.gate_lines import gate_lines
from sdbench.report.notes import across, numbered
from sdbench.report.scaling_lines import scaling_fit_sentences

GAP = 2
"""Characters between two columns."""

WIDE = 1_000
"""Wider than any table: a narrow terminal wraps its lines, but rich never cuts a cell."""


def scaling_table(benchmark: Benchmark, room: int) -> Table:
    """One row for each measured Point. Headings wrap when the room is short; no number is ever cut."""
    headings = [column.heading for column in columns(benchmark)]
    body = cells(benchmark)
    widths = _widths(headings, body)
    if sum(widths) + GAP * (len(widths) - 1) > room:
        widths = _widths([max(heading.split(), key=len) for heading in headings], body)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, justify="left" if heading == "Point" else "right", width=width)
    for row in body:
        table.add_row(*(Text(cell, no_wrap=True) for cell in row))
    return table


def _widths(headings: Sequence[str], body: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(headings, *body, strict=True)]


def unmeasured_lines(benchmark: Benchmark) -> tuple[str, ...]:
    """A line for each Trial without a Measurement: which, why, what to do."""
    return tuple(
        f"Trial {row.trial} ({row.point}, repeat {row.repeat}): {row.why}. {row.sentence}".rstrip()
        for row in unmeasured(benchmark)
    )


def note_lines(benchmark: Benchmark) -> tuple[str, ...]:
    """A line for each note that the table refers to, and for what concerns all of it."""
    of_points = (f"Note {index}: {note}" for index, note in enumerate(numbered(benchmark), start=1))
    return (*of_points, *(f"Note: {note}" for note in across(benchmark)))


@contextmanager
def _wide(console: Console) -> Iterator[None]:
    """A console that cuts nothing: what it prints is never taken to be wider than it is itself."""
    width, console.width = console.width, WIDE
    try:
        yield
    finally:
        console.width = width


def show(benchmark: Benchmark, console: Console) -> None:
    """Name and state, the table with its notes, the Trials that are missing from it, the answer, price and verdict."""
    console.print(Text.assemble((benchmark.metadata.name, "bold"), "  ", state(benchmark)), soft_wrap=True)
    if benchmark.status.points:
        table = scaling_table(benchmark, console.width)
        with _wide(console):
            console.print(table, crop=False, no_wrap=True)
    for line in (*note_lines(benchmark), *scaling_fit_sentences(benchmark), *unmeasured_lines(benchmark)):
        console.print(Text(line), soft_wrap=True)
    last = (headline(benchmark), *projection_messages(benchmark), spent(benchmark), *gate_lines(benchmark))
    for line in filter(None, last):
        console.print(Text(line), soft_wrap=True)
