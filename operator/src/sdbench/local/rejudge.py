"""Judges a finished Benchmark again, by its own gate or against a baseline that the user names."""

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


def rejudged(
    benchmark: Benchmark, file: Path | None, max_regression: str | None, find: Callable[[str], Reference]
) -> Benchmark:
    """The Benchmark with the gate that applies and its verdict.

    The baseline is in `file`, or `find` looks up the one that the gate names. Raises LocalRunRefused if there is
    nothing to judge by, and PlanRefused for a spec that this version cannot plan.
    """
    baseline = from_file(file) if file is not None else None
    gate = _applicable_gate(benchmark, baseline.name if baseline is not None else None, max_regression)
    if baseline is None and gate.baseline is not None:
        baseline = find(gate.baseline.name)
    # `trials` ignores spec.limits, which may have changed since the run: they limit its cost and not its verdict.
    verdict = judge(benchmark, gate, trials(benchmark.spec), lookup((baseline,) if baseline is not None else ()))
    spec = benchmark.spec.model_copy(update={"gate": gate})
    status = benchmark.status.model_copy(update={"gate": verdict})
    return benchmark.model_copy(update={"spec": spec, "status": status})


def _applicable_gate(benchmark: Benchmark, baseline: str | None, max_regression: str | None) -> Gate:
    """The gate of the spec, with the baseline's name and its largest regression replaced if they are given."""
    gate = benchmark.spec.gate
    named = gate.baseline if gate is not None else None
    if baseline is None and max_regression is None:
        if gate is None:
            raise LocalRunRefused(
                f"{benchmark.metadata.name} has no spec.gate: name the results to compare with by --baseline FILE."
            )
        return gate
    if baseline is None and named is None:
        raise LocalRunRefused("--max-regression needs a baseline: name its results by --baseline FILE.")
    document = named.document() if named is not None else {}
    document |= {"name": baseline} if baseline is not None else {}
    document |= {"maxRegression": max_regression} if max_regression is not None else {}
    try:
        changed = Baseline.model_validate(document)
    except ValidationError:
        raise LocalRunRefused(
            f"--max-regression must be at least 0 and below 1, such as 0.02 for 2 %, not {max_regression!r}."
        ) from None
    return gate.model_copy(update={"baseline": changed}) if gate is not None else Gate(baseline=changed)
