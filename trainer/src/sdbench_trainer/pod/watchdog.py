"""Decides when a run is dead and which rank caused it, from the ranks' exits and heartbeats."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from sdbench_trainer.errors import aborted_code
from sdbench_trainer.heartbeat import PHASE_WORDS, Heartbeat, RankPhase
from sdbench_trainer.report import ExitCode, RootCauseRank, root_cause_rank
from sdbench_trainer.run import STALL_FLOOR_SECONDS, Watchdog

PEER_SECONDS = 4.0
"""How long the culprit may take to be heard before a rank is believed that may only have suffered from it."""

RENDEZVOUS_MARGIN_SECONDS = 5.0
"""The ranks' own timeout knows who is missing, so it comes first."""

STALL_STEPS = 100


def code_of(status: int, last_words: str = "") -> int:
    """The exit code of a pod for the end of a rank: one of ExitCode, or 128 + signal.

    `last_words`: what an exception said that nobody caught, where a library aborted the rank.
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
    """A rank that ended by itself with something else than success."""

    rank: int
    code: int
    at: float


def first_failure(ends: Sequence[RankExit], *, now: float, running: int) -> RankExit | None:
    """Who failed first, once that can be told; None as long as nobody failed or a better culprit may be heard."""
    if not ends:
        return None
    best = min(ends, key=lambda end: (root_cause_rank(end.code), end.rank))
    may_follow = root_cause_rank(best.code) >= RootCauseRank.BUG
    return None if may_follow and running > 0 and now - ends[0].at < PEER_SECONDS else best


def stall_limit(beat: Heartbeat, limits: Watchdog) -> float:
    """Seconds a step may take: many times the median step, within bounds."""
    return min(limits.stall_seconds, max(STALL_FLOOR_SECONDS, STALL_STEPS * beat.median_step))


@dataclass(frozen=True)
class Stall:
    """A run that will not go on by itself."""

    code: ExitCode
    local_rank: int
    sentence: str
    beat: Heartbeat
    """The last one of the rank that is blamed."""


def _overdue(beat: Heartbeat, limits: Watchdog, start_seconds: int) -> tuple[ExitCode, float, str]:
    meeting = limits.rendezvous_seconds + RENDEZVOUS_MARGIN_SECONDS
    if beat.phase is RankPhase.RENDEZVOUS:
        return ExitCode.RENDEZVOUS_TIMEOUT, meeting, "the master was not reached"
    if beat.phase is RankPhase.GATHERING:
        return ExitCode.RENDEZVOUS_TIMEOUT, start_seconds + meeting, "the other ranks did not come"
    if beat.steps == 0:
        return ExitCode.STALLED, limits.first_step_seconds, f"no first step while {PHASE_WORDS[beat.phase]}"
    limit = limits.stall_seconds if beat.phase is RankPhase.FINISHING else stall_limit(beat, limits)
    return ExitCode.STALLED, limit, f"no step after step {beat.steps}"


def find_stall(beats: Sequence[Heartbeat | None], limits: Watchdog, now: float, start_seconds: int = 0) -> Stall | None:
    """The rank that is furthest behind among those silent beyond their limit; None while all are in time.

    `beats` has None for a rank that has ended; `start_seconds` is for how long other pods may still be started.
    """
    late = []
    for local_rank, beat in enumerate(beats):
        if beat is None:
            continue
        code, limit, what = _overdue(beat, limits, start_seconds)
        if now - beat.at > limit:
            late.append(Stall(code, local_rank, f"{what} for {limit:.0f} s", beat))
    return min(late, key=lambda one: (one.beat.progress, one.beat.at, one.local_rank), default=None)
