"""Builds the result as one JSON document, whose numbers stay the decimal strings of the status."""

import json
from typing import Any

from sdbench.api.benchmark import Benchmark
from sdbench.report.answers import complete, rows, unmeasured
from sdbench.report.notes import notes_of


def answer_document(benchmark: Benchmark) -> dict[str, Any]:
    """The Points by device count, the unmeasured Trials, the verdict, the cost and the environments."""
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
        "unmeasured": [
            {"trial": row.trial, "point": row.point, "repeat": row.repeat, "reason": row.why, "message": row.sentence}
            for row in unmeasured(benchmark)
        ],
        "gate": None if status.gate is None else status.gate.document(),
        "spentDeviceSeconds": status.spent_device_seconds,
        "spentCost": format(status.spent_cost, "f"),
        "environments": [row.document() for row in status.environments],
        "resolved": None if status.resolved is None else status.resolved.document(),
    }


def as_json(benchmark: Benchmark) -> str:
    """The document as text."""
    return json.dumps(answer_document(benchmark), indent=2, ensure_ascii=False) + "\n"
