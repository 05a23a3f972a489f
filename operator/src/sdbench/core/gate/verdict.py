"""Judges a finished Benchmark by its gate: every limit at every judged Point, and one verdict.

The verdict is Fail if any finding fails, else InsufficientData if anything is missing, else Pass. A finding is Fail
only if its numbers may be judged, and Pass only if nothing is missing: a gate fails closed. A Benchmark that was
cancelled or has not ended is not judged.
"""

from collections.abc import Iterator
from contextlib import suppress

from sdbench.api.benchmark import Benchmark
from sdbench.api.reasons import Reason
from sdbench.api.spec_gate import Gate
from sdbench.api.status import PointRow
from sdbench.api.status_gate import BaselineRow, ComparisonRow, FindingRow, GateRow, Limit, Verdict
from sdbench.core.format import CONDITION_CHARACTERS, bounded
from sdbench.core.gate.baseline import compared
from sdbench.core.gate.limits import finding, gate_bounds
from sdbench.core.measure.environments import disqualification, environment_difference, environments_of
from sdbench.core.measure.references import Lookup, ReferenceUnavailable
from sdbench.core.plan.grid import Point, Trial
from sdbench.core.trial.outcome import outcome

SHOWN = 16
"""Most findings, and most comparisons, that a status holds."""


def judge(benchmark: Benchmark, gate: Gate, planned: tuple[Trial, ...], source: Lookup) -> GateRow:
    """The verdict on a Benchmark whose status has its trials, points and environments."""
    end = outcome(benchmark.status.trials)
    if end is None:
        return unjudged("The benchmark has not ended")
    if end.reason == Reason.CANCELLED:
        return unjudged("The benchmark was cancelled")
    points = tuple({trial.point.label: trial.point for trial in planned}.values())
    findings: list[FindingRow] = []
    comparisons: list[ComparisonRow] = []
    for point in points:
        if gate.devices is not None and point.devices not in gate.devices:
            continue
        findings.extend(_of_limits(benchmark, gate, point, points))
        if gate.baseline is not None:
            found, comparison = compared(gate.baseline, point, benchmark, source)
            findings.append(found)
            comparisons += [comparison] if comparison is not None else []
    baseline = None
    if gate.baseline is not None:
        with suppress(ReferenceUnavailable):
            uid = source(gate.baseline.name).benchmark.metadata.uid
            baseline = BaselineRow(name=gate.baseline.name, uid=uid, points=tuple(comparisons[:SHOWN]))
    return _verdict(findings, baseline)


def unjudged(why: str) -> GateRow:
    """The verdict if nothing can be judged."""
    return GateRow(verdict=Verdict.INSUFFICIENT_DATA, message=bounded(why, CONDITION_CHARACTERS))


def _of_limits(benchmark: Benchmark, gate: Gate, point: Point, points: tuple[Point, ...]) -> Iterator[FindingRow]:
    rows = {row.point: row for row in benchmark.status.points}
    row = rows.get(point.label)
    disqualified = disqualification(row, benchmark.spec)
    for bound in gate_bounds(gate):
        why = disqualified
        if bound.scale.limit is Limit.SCALING_EFFICIENCY:
            # The only value that depends on a second Point, which must be fit to be judged as well.
            why = why or _incomparable(benchmark, rows, point, points)
        yield finding(bound, point.label, row, why)


def _incomparable(benchmark: Benchmark, rows: dict[str, PointRow], point: Point, points: tuple[Point, ...]) -> str:
    """Why the efficiency of a Point, relative to the smallest count with equal parameters, cannot be judged."""
    base = min((one for one in points if one.knobs == point.knobs), key=lambda one: one.devices)
    if base == point:
        return ""
    if disqualified := disqualification(rows.get(base.label), benchmark.spec):
        return f"of {base.label}, with which it is compared, {disqualified}"
    unlike = environment_difference(
        environments_of(point.label, benchmark.status), environments_of(base.label, benchmark.status)
    )
    return f"compared with {base.label}, {unlike}" if unlike else ""


def _verdict(findings: list[FindingRow], baseline: BaselineRow | None) -> GateRow:
    failed = [one for one in findings if one.verdict is Verdict.FAIL]
    missing = [one for one in findings if one.verdict is Verdict.INSUFFICIENT_DATA]
    passed = len(findings) - len(failed) - len(missing)
    if not findings:
        return unjudged("The gate judges no point of the plan")
    verdict = Verdict.FAIL if failed else Verdict.INSUFFICIENT_DATA if missing else Verdict.PASS
    shown = [*failed, *missing]
    more = f"; {len(shown) - 1} more in status.gate" if len(shown) > 1 else ""
    return GateRow(
        verdict=verdict,
        message=bounded(
            f"{shown[0].message}{more}" if shown else f"Every limit holds: {passed} findings", CONDITION_CHARACTERS
        ),
        passed=passed,
        failed=len(failed),
        insufficient=len(missing),
        findings=tuple(shown[:SHOWN]),
        baseline=baseline,
    )
