"""Renders the result of a Benchmark as a table, as one JSON document or as a page."""

import json
from dataclasses import asdict
from io import StringIO
from typing import Any, Literal

from rich.console import Console

from sdbench.api.benchmark import Benchmark
from sdbench.report.answers import complete, rows, unmeasured
from sdbench.report.notes import notes_of
from sdbench.report.table import show

PLAIN_WIDTH = 120


def rendered(benchmark: Benchmark, form: Literal["table", "json", "html"]) -> str:
    """The result in that format, ending with a newline."""
    if form == "json":
        return json.dumps(json_document(benchmark), indent=2, ensure_ascii=False) + "\n"
    if form == "html":
        # Imported here because plotly takes a second.
        from sdbench.report.page import page

        return page(benchmark)
    text = StringIO()
    show(benchmark, Console(file=text, width=PLAIN_WIDTH, color_system=None))
    return text.getvalue()


def json_document(benchmark: Benchmark) -> dict[str, Any]:
    """The result for programs; its numbers stay the decimal strings of the status."""
    metadata, status = benchmark.metadata, benchmark.status
    return {
        "name": metadata.name,
        "namespace": metadata.namespace,
        "uid": metadata.uid,
        "phase": status.phase.value,
        "complete": complete(benchmark),
        "projectionImages": benchmark.spec.projection.total_images,
        "projectionStages": [stage.document() for stage in benchmark.spec.projection.stages or ()],
        "hourlyPrice": format(benchmark.spec.devices.hourly_price, "f"),
        "points": [row.document() | {"notes": list(notes_of(row))} for row in rows(benchmark)],
        "scalingFits": [fit.document() for fit in status.scaling_fits],
        "unmeasured": [asdict(row) for row in unmeasured(benchmark)],
        "gate": None if status.gate is None else status.gate.document(),
        "spentDeviceSeconds": status.spent_device_seconds,
        "spentCost": format(status.spent_cost, "f"),
        "environments": [row.document() for row in status.environments],
        "resolved": None if status.resolved is None else status.resolved.document(),
    }
