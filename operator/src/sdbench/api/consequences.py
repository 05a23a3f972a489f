"""Defines an entry of the table of reasons, and what can follow for a Benchmark when one of its Attempts ends."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from sdbench_trainer.report import ExitCode


class Scope(StrEnum):
    """How far the cause of a failure reaches: the other Trials that would share it are not tried."""

    TRIAL = "Trial"
    POINT = "Point"
    SWEEP = "Sweep"


@dataclass(frozen=True)
class FollowUp:
    """One consequence in a sentence, and the scope of a failure that has it."""

    sentence: str
    scope: Scope | None = None
    """None: the consequence never leaves a row Failed."""


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
    """What there is to say about one reason."""

    name: str
    """As the API shows it."""
    consequence: Consequence
    when: str
    """When an Attempt or a Benchmark gets this reason."""
    remedy: str = ""
    """What a person does about it, as the second half of a sentence; empty if there is nothing to do."""
    reported: str = "at once"
    """How soon after its first sign it is reported."""
    exit_code: ExitCode | None = None
    """The exit code of a training pod that means this reason."""
    summary: str = ""
    """What a pod with this exit code is said to have done, if `when` says more than that."""
