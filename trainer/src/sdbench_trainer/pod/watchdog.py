"""Decides when a run is dead and which rank caused it, from the ranks' exits and heartbeats."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from sdbench_trainer.errors import aborted_code
from sdbench_trainer.heartbeat import PHASE_WORDS, Heartbeat, RankPhase
from sdbench_trainer.report import ExitCode, RootCauseRank, root_cause_rank
from sdbench_trainer.run import STALL_FLOOR_SECONDS, Watchdog

PEER_SECONDS = 4.0
"""How long to wait for a better explanation if the failed rank may only have suffered from another's failure."""

RENDEZVOUS_MARGIN_SECONDS = 5.0
"""How much later than the ranks' own timeout the watchdog acts: the ranks know which rank is missing."""

STALL_STEPS = 100
"""A step that takes as long as this many median steps has stalled, within the bounds of `stall_limit`."""


def code_of(status: int, last_words: str = "") -> int:
    """The exit code that a pod reports for a rank's exit status: one of ExitCode, or 128 + signal.

    `last_words` is the message of the uncaught exception with which a library aborted the rank.
    """
    if status == -signal.SIGBUS:
        return ExitCode.SHARED_MEMORY_FULL
    if status == -signal.SIGABRT and (code := aborted_code(last_words)) is not None:
        return code
    if status < 0:
        return 128 - status
    return status if status in ExitCode.__members__.values() else ExitCode.BUG


@dataclass(frozen=True)
class RankExit:
    """A rank that ended by itself without success."""

    rank: int
    code: int
    at: float


def first_failure(ends: Sequence[RankExit], *, now: float, running: int) -> RankExit | None:
    """The exit that best explains a failure; None if no rank failed, or a better explanation may still come."""
    if not ends:
        return None
    # Among equal explanations the lowest rank, so that the same failure always gives the same Report.
    best = min(ends, key=lambda end: (root_cause_rank(end.code), end.rank))
    may_follow = root_cause_rank(best.code) >= RootCauseRank.BUG
    return None if may_follow and running > 0 and now - ends[0].at < PEER_SECONDS else best


def stall_limit(beat: Heartbeat, limits: Watchdog) -> float:
    """Seconds that a step may take: STALL_STEPS median steps, within bounds."""
    return min(limits.stall_seconds, max(STALL_FLOOR_SECONDS, STALL_STEPS * beat.median_step))


@dataclass(frozen=True)
class Stall:
    """A run that makes no progress."""

    code: ExitCode
    local_rank: int
    sentence: str
    beat: Heartbeat
    """The last heartbeat of the rank that is blamed."""


def find_stall(beats: Sequence[Heartbeat | None], limits: Watchdog, now: float, start_seconds: int = 0) -> Stall | None:
    """The stall of the rank that is furthest behind among those silent beyond their limit; None if there are none.

    `beats` has None for a rank that has ended; `start_seconds` is how long other pods may take to start.
    """
    late = []
    for local_rank, beat in enumerate(beats):
        if beat is None:
            continue
        code, limit, what = _limit_of(beat, limits, start_seconds)
        if now - beat.at > limit:
            late.append(Stall(code, local_rank, f"{what} for {limit:.0f} s", beat))
    # The others wait for it in a collective.
    return min(late, key=lambda one: (one.beat.progress, one.beat.at, one.local_rank), default=None)


def _limit_of(beat: Heartbeat, limits: Watchdog, start_seconds: int) -> tuple[ExitCode, float, str]:
    """How long a rank may be silent in its phase, and the exit code and the words for one that is silent longer."""
    meeting = limits.rendezvous_seconds + RENDEZVOUS_MARGIN_SECONDS
    if beat.phase is RankPhase.RENDEZVOUS:
        return ExitCode.RENDEZVOUS_TIMEOUT, meeting, "the master was not reached"
    if beat.phase is RankPhase.GATHERING:
        return ExitCode.RENDEZVOUS_TIMEOUT, start_seconds + meeting, "the other ranks did not join"
    if beat.steps == 0:
        return ExitCode.STALLED, limits.first_step_seconds, f"no first step while {PHASE_WORDS[beat.phase]}"
    # Nothing is known about how long it takes to finish, so the median step says nothing about it.
    limit = limits.stall_seconds if beat.phase is RankPhase.FINISHING else stall_limit(beat, limits)
    return ExitCode.STALLED, limit, f"no step after step {beat.steps}"
