"""Defines a case: a question, how it is put, and the function that answers it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Finding


@dataclass(frozen=True)
class Setting:
    """What a case is given."""

    quick: bool
    """Show only that the case runs: the smallest sizes, the fewest turns."""
    folder: Path
    """An empty folder, removed afterwards."""
    news: Callable[[str], None]
    """Takes what is going on, for the person who waits."""

    def turns(self, full: int) -> int:
        """How many turns to take."""
        return 1 if self.quick else full


@dataclass(frozen=True)
class Answer:
    """What a case found."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    title: str
    how: str
    """Sentences for the page."""
    answer: Callable[[Setting], Answer]
