"""Looks up the other Benchmarks that a question names, and what they measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Spec
from sdbench.api.status import ConditionType, PointRow
from sdbench.core.plan.grid import PlanRefused, Point, trials
from sdbench.core.snapshot import Reference
from sdbench.core.trial.outcome import outcome


class ReferenceUnavailable(ValueError):
    """A named Benchmark lacks what is needed of it; the text is a part of a sentence."""


@dataclass(frozen=True)
class CompletedBenchmark:
    """A Benchmark that is complete, with each measured Point and its configuration."""

    benchmark: Benchmark
    points: tuple[tuple[Point, PointRow], ...]


Lookup = Callable[[str], CompletedBenchmark]
"""Returns the complete Benchmark of a name. Raises ReferenceUnavailable."""


def referenced_names(spec: Spec) -> tuple[str, ...]:
    """The Benchmarks that a spec names, each once: stages of the projection, then the baseline."""
    of_stages = [stage.benchmark for stage in spec.projection.stages or () if stage.benchmark is not None]
    of_gate = [spec.gate.baseline.name] if spec.gate is not None and spec.gate.baseline is not None else []
    return tuple(dict.fromkeys((*of_stages, *of_gate)))


def awaited_references(benchmark: Benchmark) -> tuple[str, ...]:
    """The names that the next decision needs: none once everything has ended and is judged."""
    status = benchmark.status
    over = outcome(status.trials) is not None and (benchmark.spec.gate is None or status.gate is not None)
    return () if over else referenced_names(benchmark.spec)


def lookup(references: tuple[Reference, ...]) -> Lookup:
    """A lookup in these references, which plans each Benchmark once."""
    return cache(lambda name: _finished(name, references))


def _finished(name: str, references: tuple[Reference, ...]) -> CompletedBenchmark:
    reference = next((one for one in references if one.name == name), Reference(name))
    found = reference.benchmark
    if found is None:
        raise ReferenceUnavailable(f"Benchmark {name} {reference.absence or 'does not exist'}")
    if found.status.true_condition(ConditionType.COMPLETE) is None:
        raise ReferenceUnavailable(f"Benchmark {name} {'has failed' if found.status.end else 'is not complete yet'}")
    try:
        points = {trial.point.label: trial.point for trial in trials(found.spec)}
    except PlanRefused as refusal:
        raise ReferenceUnavailable(f"Benchmark {name} cannot be read by this version: {refusal}") from None
    rows = ((points.get(row.point), row) for row in found.status.points)
    return CompletedBenchmark(found, tuple((point, row) for point, row in rows if point is not None))


NO_OTHERS: Lookup = lookup(())
"""The lookup for a question that names no other Benchmark."""
