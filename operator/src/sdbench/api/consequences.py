"""Defines the entries of the table of reasons, and what can follow for a Benchmark from an Attempt's end."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from sdbench_trainer.report import ExitCode


class Scope(StrEnum):
    """How far the cause of a failure reaches: other Trials that would share it are skipped."""

    TRIAL = "Trial"
    POINT = "Point"
    SWEEP = "Sweep"


@dataclass(frozen=True)
class FollowUp:
    """A consequence in a sentence, and the scope of the failure that it leaves in the row."""

    sentence: str
    scope: Scope | None = None
    """None if the consequence never leaves a row Failed."""


class Consequence(Enum):
    """What follows for the Benchmark when an Attempt ends."""

    MEASURED = FollowUp("its result counts")
    STOPS_SWEEP = FollowUp("the sweep stops: every Trial would share the cause", Scope.SWEEP)
    ENDS_POINT = FollowUp("its Point ends: the other repeats are skipped, other Points go on", Scope.POINT)
    RETRIED = FollowUp("another Attempt while `retries` last", Scope.TRIAL)
    RESUMED = FollowUp("another Attempt")
    BACKS_OFF = FollowUp("its devices are given back, and another Attempt follows later")
    GIVES_UP = FollowUp("this Trial only is given up", Scope.TRIAL)
    NOT_NEEDED = FollowUp("nothing is missing without it")
    WAITS = FollowUp("the Benchmark waits")


@dataclass(frozen=True)
class Entry:
    """One reason with everything that is said about it."""

    name: str
    """The name in the API."""
    consequence: Consequence
    when: str
    """When an Attempt or a Benchmark gets this reason."""
    remedy: str = ""
    """What to do about it, as the second half of a sentence; empty if there is nothing to do."""
    reported: str = "at once"
    """How soon after its first sign it is reported."""
    exit_code: ExitCode | None = None
    """The exit code of a training pod that means this reason."""
    summary: str = ""
    """How a message begins about a pod with this exit code, if not as `when` does."""
