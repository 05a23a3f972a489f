"""Renders the result of a Benchmark in the format that the user asks for."""

from io import StringIO
from typing import Literal

from rich.console import Console

from sdbench.api.benchmark import Benchmark
from sdbench.report.document import as_json
from sdbench.report.table import show

PLAIN_WIDTH = 120


def rendered(benchmark: Benchmark, form: Literal["table", "json", "html"]) -> str:
    """The result in that format, ending with a newline."""
    if form == "json":
        return as_json(benchmark)
    if form == "html":
        # Imported here because plotly takes a second.
        from sdbench.report.page import page

        return page(benchmark)
    text = StringIO()
    show(benchmark, Console(file=text, width=PLAIN_WIDTH, color_system=None))
    return text.getvalue()
