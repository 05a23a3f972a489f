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
class Effect:
    """One consequence in a sentence, and the scope of a failure that has it."""

    sentence: str
    scope: Scope | None = None
    """None: the consequence never leaves a row Failed."""


class Consequence(Enum):
    """What follows for the Benchmark when an Attempt ends."""

    MEASURED = Effect("its result counts")
    STOPS_SWEEP = Effect("the sweep stops: every Trial would share the cause", Scope.SWEEP)
    ENDS_POINT = Effect("its Point ends: the other repeats are skipped, other Points go on", Scope.POINT)
    RETRIED = Effect("another Attempt while `retries` last", Scope.TRIAL)
    RESUMED = Effect("another Attempt")
    BACKS_OFF = Effect("its devices are given back, and another Attempt follows later")
    GIVES_UP = Effect("this Trial only is given up", Scope.TRIAL)
    NOT_NEEDED = Effect("nothing is missing without it")
    WAITS = Effect("the Benchmark waits")


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
