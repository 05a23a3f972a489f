"""Renders an answer as a table, as JSON or as a page."""

from io import StringIO
from typing import Literal

from rich.console import Console

from sdbench.api.benchmark import Benchmark
from sdbench.report.document import as_json
from sdbench.report.table import show

PLAIN_WIDTH = 120


def rendered(benchmark: Benchmark, form: Literal["table", "json", "html"]) -> str:
    """The answer in that form, ending with a newline."""
    if form == "json":
        return as_json(benchmark)
    if form == "html":
        from sdbench.report.page import page  # plotly takes a second to import

        return page(benchmark)
    paper = StringIO()
    show(benchmark, Console(file=paper, width=PLAIN_WIDTH, color_system=None))
    return paper.getvalue()
