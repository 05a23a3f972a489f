"""Judges a finished answer again, by its own gate or against results that a person names."""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec_gate import Baseline, Gate
from sdbench.core.gate.verdict import judge
from sdbench.core.measure.references import lookup
from sdbench.core.plan.grid import trials
from sdbench.core.snapshot import Reference
from sdbench.local.named_results import from_file
from sdbench.local.preflight import LocalRunRefused


def judged_again(
    benchmark: Benchmark, file: Path | None, max_regression: str | None, found: Callable[[str], Reference]
) -> Benchmark:
    """The answer with the gate that it is judged by and its verdict; `file` holds the baseline, `found` has others.

    Raises Refused where there is nothing to judge by, PlanRefused for a spec that this version cannot plan.
    """
    other = from_file(file) if file is not None else None
    gate = _asked(benchmark, other.name if other is not None else None, max_regression)
    if other is None and gate.baseline is not None:
        other = found(gate.baseline.name)
    verdict = judge(benchmark, gate, trials(benchmark.spec), lookup((other,) if other is not None else ()))
    spec = benchmark.spec.model_copy(update={"gate": gate})
    status = benchmark.status.model_copy(update={"gate": verdict})
    return benchmark.model_copy(update={"spec": spec, "status": status})


def _asked(benchmark: Benchmark, name: str | None, max_regression: str | None) -> Gate:
    gate = benchmark.spec.gate
    stored = gate.baseline if gate is not None else None
    if name is not None or (max_regression is not None and stored is not None):
        baseline = _baseline(name, stored, max_regression)
        return gate.model_copy(update={"baseline": baseline}) if gate is not None else Gate(baseline=baseline)
    if max_regression is not None:
        raise LocalRunRefused("--max-regression needs a baseline: name its results by --baseline FILE.")
    if gate is None:
        raise LocalRunRefused(
            f"{benchmark.metadata.name} has no spec.gate: name what to compare it with by --baseline FILE."
        )
    return gate


def _baseline(name: str | None, stored: Baseline | None, max_regression: str | None) -> Baseline:
    document = stored.document() if stored is not None else {}
    document |= {"name": name} if name is not None else {}
    document |= {"maxRegression": max_regression} if max_regression is not None else {}
    try:
        return Baseline.model_validate(document)
    except ValidationError:
        raise LocalRunRefused(
            f"--max-regression: {max_regression!r} is no share below 1, such as 0.02 for 2 %."
        ) from None
