"""Stores the results of a run of the benchmarks in one JSON file, from which the page is made."""

from enum import StrEnum
from pathlib import Path

from benchmarks.comparison import Estimate
from benchmarks.machine import Load, Machine
from sdbench_trainer.config import Boundary

RESULTS = Path(__file__).parent / "results.json"


class Bound(StrEnum):
    """On which side of a target a value has to be."""

    AT_LEAST = "atLeast"
    AT_MOST = "atMost"


class Verdict(StrEnum):
    """Whether a value is where it should be."""

    MET = "met"
    NARROWLY = "met, but the interval reaches across"
    MISSED = "missed"


class Target(Boundary):
    """Where a value should be."""

    bound: Bound
    value: float

    def holds(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.value if self.bound is Bound.AT_LEAST else value <= self.value


class Finding(Boundary):
    """One row: a value, what it was made of, and where it should be."""

    what: str
    unit: str
    """Of plain and ours."""
    plain: float | None = None
    ours: float
    value: float
    low: float | None = None
    high: float | None = None
    value_unit: str
    target: Target | None = None

    @property
    def verdict(self) -> Verdict | None:
        """None without a target."""
        if self.target is None:
            return None
        if not self.target.holds(self.value):
            return Verdict.MISSED
        ends = [end for end in (self.low, self.high) if end is not None]
        return Verdict.MET if all(map(self.target.holds, ends)) else Verdict.NARROWLY


class CaseResult(Boundary):
    """What one case found, and what else the machine did meanwhile."""

    name: str
    title: str
    how: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    seconds: float
    load: Load | None = None


class Results(Boundary):
    """Everything that was found on one machine."""

    machine: Machine
    quick: bool
    """Whether this was a smoke run, whose numbers mean nothing."""
    cases: tuple[CaseResult, ...] = ()

    def with_case(self, result: CaseResult, order: tuple[str, ...]) -> "Results":
        """These, with one case new or replaced."""
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
    """A row out of an estimate."""
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


def earlier(path: Path, machine: Machine, quick: bool) -> Results:
    """The results that the file holds of this very machine, or none: machines are never mixed in one file."""
    if path.exists():
        found = Results.model_validate_json(path.read_text())
        if found.machine == machine and found.quick == quick:
            return found
    return Results(machine=machine, quick=quick)


def write(results: Results, path: Path) -> None:
    """Replace the file at once."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(results.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
    unfinished.replace(path)
