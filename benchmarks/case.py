"""Defines a case: its name, its description, and the function that measures it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Finding


@dataclass(frozen=True)
class CaseContext:
    """The inputs of a case."""

    quick: bool
    """Test only that the case runs, with the smallest sizes and the fewest turns."""
    folder: Path
    """An empty folder, which is removed afterwards."""
    report_progress: Callable[[str], None]
    """Prints what the case is doing."""

    def turns(self, full: int) -> int:
        """The number of turns to take."""
        return 1 if self.quick else full


@dataclass(frozen=True)
class CaseFindings:
    """The findings of a case, with notes for the page."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    title: str
    how: str
    """Describes both ways, for the page."""
    measure: Callable[[CaseContext], CaseFindings]
