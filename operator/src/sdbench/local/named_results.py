"""Finds the other Benchmarks that a spec names, in `<results>/<name>/benchmark.json` or in a file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sdbench.api.benchmark import Benchmark
from sdbench.core.measure.references import ReferenceUnavailable, lookup, referenced_names
from sdbench.core.snapshot import Reference
from sdbench.local.documents import InvalidFile, only_benchmark
from sdbench.local.preflight import LocalRunRefused
from sdbench.local.results import DOCUMENT


def references(benchmark: Benchmark, results: Path, baseline: Path | None) -> tuple[Reference, ...]:
    """Each Benchmark that the spec names; `baseline` is a file that replaces the named baseline.

    Raises LocalRunRefused if there is such a file and the spec has no baseline, or if it holds no Benchmark.
    """
    spec = benchmark.spec
    found = {name: reference_in(name, results) for name in referenced_names(spec)}
    if baseline is not None:
        if spec.gate is None or spec.gate.baseline is None:
            raise LocalRunRefused(
                "--baseline replaces spec.gate.baseline, which is absent: add it with the largest maxRegression that "
                "passes, or omit --baseline."
            )
        name = spec.gate.baseline.name
        # One name would stand for two Benchmarks.
        if any(stage.benchmark == name for stage in spec.projection.stages or ()):
            raise LocalRunRefused(
                f"--baseline replaces spec.gate.baseline, and {name} is a stage of the projection too: give "
                "spec.gate.baseline a name of its own."
            )
        found[name] = replace(from_file(baseline), name=name)
    return tuple(found.values())


def from_file(file: Path) -> Reference:
    """The Benchmark in a file that the user names. Raises LocalRunRefused."""
    try:
        found = only_benchmark(file)
    except InvalidFile as error:
        raise LocalRunRefused(f"{file}: {error}") from error
    return Reference(found.metadata.name, found)


def reference_in(name: str, results: Path) -> Reference:
    """The Benchmark of that name in the results folder; a file that cannot be read counts as absent."""
    document = results / name / DOCUMENT
    if not document.exists():
        return Reference(name, absence=f"does not exist: there is no {document}")
    try:
        return Reference(name, only_benchmark(document))
    except InvalidFile as error:
        # The run measures all the same; only the comparison lacks data.
        return Reference(name, absence=f"cannot be read: {document}: {error.problems[0]}")


def unusable_references(found: tuple[Reference, ...]) -> Iterator[str]:
    """A warning for each reference that is missing or incomplete, before hours are spent on a gate that cannot pass."""
    known = lookup(found)
    for one in found:
        try:
            known(one.name)
        except ReferenceUnavailable as error:
            yield f"{error}. Measure it first; otherwise what the spec compares with it stays unknown."
