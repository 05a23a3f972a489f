"""Defines the results of a run of the benchmarks, and the JSON file that holds them."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from statistics import median

from benchmarks.comparison import Estimate, Pair
from benchmarks.machine import Load, Machine
from sdbench_trainer.config import Boundary

RESULTS = Path(__file__).parent / "results.json"


class Bound(StrEnum):
    """The side of a target on which a value has to be."""

    AT_LEAST = "atLeast"
    AT_MOST = "atMost"


class Verdict(StrEnum):
    """Whether a value meets its target."""

    MET = "met"
    NARROWLY = "met, but the interval crosses the target"
    MISSED = "missed"


class Target(Boundary):
    """The bound that a value should keep."""

    bound: Bound
    value: float

    def holds(self, value: float) -> bool:
        """Whether a value meets the target."""
        return value >= self.value if self.bound is Bound.AT_LEAST else value <= self.value


class Finding(Boundary):
    """One row: a value, the two medians behind it, and its target."""

    what: str
    unit: str
    """The unit of plain and ours."""
    plain: float | None = None
    ours: float
    value: float
    low: float | None = None
    high: float | None = None
    value_unit: str
    target: Target | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict; None if there is no target."""
        if self.target is None:
            return None
        if not self.target.holds(self.value):
            return Verdict.MISSED
        ends = [end for end in (self.low, self.high) if end is not None]
        return Verdict.MET if all(map(self.target.holds, ends)) else Verdict.NARROWLY


class CaseResult(Boundary):
    """The findings of one case, and the machine's load meanwhile."""

    name: str
    title: str
    how: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    seconds: float
    load: Load | None = None


class Results(Boundary):
    """All results of one machine."""

    machine: Machine
    quick: bool
    """Whether the cases only had to run, so that the numbers mean nothing."""
    cases: tuple[CaseResult, ...] = ()

    def with_case(self, result: CaseResult, order: tuple[str, ...]) -> "Results":
        """The results with one case added or replaced."""
        kept = [case for case in self.cases if case.name != result.name and case.name in order]
        cases = sorted([*kept, result], key=lambda case: order.index(case.name))
        return self.model_copy(update={"cases": tuple(cases)})


def at_least(value: float) -> Target:
    """The target of a gain."""
    return Target(bound=Bound.AT_LEAST, value=value)


def at_most(value: float) -> Target:
    """The target of a cost."""
    return Target(bound=Bound.AT_MOST, value=value)


def finding(
    what: str,
    *,
    unit: str,
    plain: float | None = None,
    ours: float,
    value: Estimate,
    value_unit: str,
    target: Target | None = None,
) -> Finding:
    """A row that shows an estimate."""
    return Finding(
        what=what,
        unit=unit,
        plain=plain,
        ours=ours,
        value=value.value,
        low=value.low,
        high=value.high,
        value_unit=value_unit,
        target=target,
    )


def paired_finding(
    what: str,
    pairs: Sequence[Pair],
    *,
    scale: float,
    unit: str,
    value: Estimate,
    value_unit: str,
    target: Target | None = None,
) -> Finding:
    """A row that shows an estimate beside the medians of both implementations, which are scaled to the unit."""
    plain, ours = (scale * median(values) for values in zip(*((pair.plain, pair.ours) for pair in pairs), strict=True))
    return finding(what, unit=unit, plain=plain, ours=ours, value=value, value_unit=value_unit, target=target)


def earlier(path: Path, machine: Machine, quick: bool) -> Results:
    """The results in the file if they are from this machine, else none: one file never mixes machines."""
    if path.exists():
        found = Results.model_validate_json(path.read_text())
        if found.machine == machine and found.quick == quick:
            return found
    return Results(machine=machine, quick=quick)


def write(results: Results, path: Path) -> None:
    """Replaces the file atomically."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(results.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
    unfinished.replace(path)
