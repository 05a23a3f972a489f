"""Finds the Benchmarks that a question names, in `<results>/<name>/benchmark.json` or in a file."""

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
    """Each Benchmark that the question names; `baseline` is a file in place of the baseline's name.

    Raises Refused where there is such a file and no baseline is asked for, or where it holds no Benchmark.
    """
    gate = benchmark.spec.gate
    if baseline is None:
        return tuple(reference_in(name, results) for name in referenced_names(benchmark.spec))
    if gate is None or gate.baseline is None:
        raise LocalRunRefused(
            "--baseline takes the place of spec.gate.baseline, which is absent: write how much may be lost."
        )
    return tuple(_in_place(benchmark, results, gate.baseline.name, baseline))


def _in_place(benchmark: Benchmark, results: Path, name: str, file: Path) -> Iterator[Reference]:
    """The file under the baseline's name; a stage of the projection may not mean another of that name."""
    if any(stage.benchmark == name for stage in benchmark.spec.projection.stages or ()):
        raise LocalRunRefused(f"{name} is a stage of the projection too: --baseline needs a name of its own.")
    for other in referenced_names(benchmark.spec):
        yield replace(from_file(file), name=name) if other == name else reference_in(other, results)


def from_file(file: Path) -> Reference:
    """The Benchmark in a file that a person has named. Raises Refused."""
    try:
        found = only_benchmark(file)
    except InvalidFile as error:
        raise LocalRunRefused(f"{file}: {error}") from error
    return Reference(found.metadata.name, found)


def reference_in(name: str, results: Path) -> Reference:
    """What the results folder holds of that name; a file that cannot be read counts as absent."""
    document = results / name / DOCUMENT
    if not document.exists():
        return Reference(name, absence=f"does not exist: there is no {document}")
    try:
        return Reference(name, only_benchmark(document))
    except InvalidFile as error:
        return Reference(name, absence=f"cannot be read: {document}: {error.problems[0]}")


def unusable_references(found: tuple[Reference, ...]) -> Iterator[str]:
    """What a person should know before hours are spent: a gate without its baseline cannot pass."""
    known = lookup(found)
    for one in found:
        try:
            known(one.name)
        except ReferenceUnavailable as error:
            yield f"{error}. What the spec compares with it will not be known."
