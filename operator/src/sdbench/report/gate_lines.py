"""Words a gate and its verdict, for the terminal, the page and the plan."""

import json
from collections.abc import Iterator

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec_gate import Gate
from sdbench.api.status_gate import Verdict
from sdbench.core.gate.limits import gate_bounds
from sdbench.report.answers import NOTHING


def asked_limits(gate: Gate) -> Iterator[str]:
    """Each limit as in `ScalingEfficiency at least 0.60`."""
    for bound in gate_bounds(gate):
        yield f"{bound.scale.limit} {bound.words}"
    if gate.baseline is not None:
        yield f"Regression against {gate.baseline.name} at most {gate.baseline.max_regression:f}"


def judged_points(gate: Gate) -> str:
    """The judged Points, as a part of a sentence."""
    return "at every Point" if gate.devices is None else f"at {', '.join(map(str, sorted(gate.devices)))} devices"


def gate_lines(benchmark: Benchmark) -> tuple[str, ...]:
    """The verdict, then a line for each finding that did not pass; nothing without a gate."""
    made = benchmark.status.gate
    if made is None:
        return ("Gate: not judged yet.",) if benchmark.spec.gate is not None else ()
    counts = f" ({made.passed} passed, {made.failed} failed, {made.insufficient} lack data)"
    findings = tuple(f"  {found.verdict}: {found.message}" for found in made.findings)
    message = "" if findings else f". {made.message}"
    # A status holds only the first findings.
    hidden = made.failed + made.insufficient - len(made.findings)
    more = (f"  and {hidden} more findings that did not pass.",) if hidden > 0 else ()
    # Before the end of the Benchmark, a verdict has only its message.
    return (f"Gate: {made.verdict}{counts if made.passed or findings else ''}{message}", *findings, *more)


def gate_document(benchmark: Benchmark) -> str:
    """The verdict as JSON."""
    made = benchmark.status.gate
    return json.dumps(made.document() if made is not None else None, indent=2, ensure_ascii=False)


def passed(benchmark: Benchmark) -> bool | None:
    """Whether the gate passed; None without a verdict, or if the verdict lacks data."""
    made = benchmark.status.gate
    if made is None or made.verdict is Verdict.INSUFFICIENT_DATA:
        return None
    return made.verdict is Verdict.PASS


def finding_cells(benchmark: Benchmark) -> Iterator[tuple[str, ...]]:
    """The findings that did not pass: limit, Point, verdict, value, message."""
    made = benchmark.status.gate
    for found in made.findings if made is not None else ():
        yield found.limit, found.point, found.verdict, found.value or NOTHING, found.message
