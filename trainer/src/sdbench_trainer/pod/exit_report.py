"""Builds the pod's Report from how its ranks ended."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from sdbench_trainer.errors import TAIL_CHARACTERS
from sdbench_trainer.heartbeat import PHASE_WORDS, Heartbeats
from sdbench_trainer.pod.ranks import Rank
from sdbench_trainer.pod.topology import Topology
from sdbench_trainer.pod.watchdog import RankExit, Stall
from sdbench_trainer.report import ExitCode, Report, ReportError
from sdbench_trainer.run import OUTCOME_FILE, RUN_VARIABLE, RunConfig

STACK_LINES = 12

_SIGNALS = {
    signal.SIGKILL: "Killed by SIGKILL: out of memory, or another process sent it.",
    signal.SIGBUS: "Killed by SIGBUS: the shared memory is full; raise perDevice.sharedMemory.",
    signal.SIGSEGV: "Killed by SIGSEGV: a native library crashed.",
}


def refusal(sentence: str) -> Report:
    """The Report of a run that was refused before any rank started."""
    try:
        attempt = str(json.loads(os.environ.get(RUN_VARIABLE, ""))["attempt"])
    except (ValueError, KeyError, TypeError):
        attempt = ""
    error = ReportError(code=ExitCode.CONFIG_INVALID, where="reading the configuration", tail=sentence)
    return Report(attempt=attempt, error=error)


def outcome(scratch: Path, local_rank: int) -> Report | None:
    """The Report that a rank left for PID 1; None if it left none, or half of one."""
    try:
        return Report.model_validate_json((scratch / OUTCOME_FILE.format(local_rank)).read_text())
    except (OSError, ValueError):
        return None


def failure_of(
    end: RankExit, ranks: Sequence[Rank], topology: Topology, beats: Heartbeats, scratch: Path
) -> ReportError:
    """The error of the rank that caused the failure: the one it reported, or else its last output."""
    local_rank = end.rank - topology.first_rank
    left = outcome(scratch, local_rank)
    if left is not None and left.error is not None:
        return left.error
    rank = ranks[local_rank]
    # A library that aborts a rank prints its reason before its stacks; a rank that is killed prints nothing.
    why = rank.last_words()
    if not why and rank.status is not None and rank.status < 0:
        number = signal.Signals(-rank.status)
        why = _SIGNALS.get(number, f"Killed by {number.name}.")
    tail = f"{rank.output()}\n{why}"[-TAIL_CHARACTERS:].strip()
    return ReportError(code=end.code, rank=end.rank, where=PHASE_WORDS[beats.of(local_rank).phase], tail=tail)


def stalled(late: Stall, ranks: Sequence[Rank], topology: Topology) -> ReportError:
    """The error of a run that makes no progress, with the stack of the rank that is blamed."""
    output = ranks[late.local_rank].output()
    # faulthandler heads the stack of the interrupted thread with these words; its innermost frame comes first.
    _, found, dumped = output.rpartition("Current thread ")
    stack = "\n".join(dumped.splitlines()[1 : 1 + STACK_LINES]) if found else output
    return ReportError(
        code=late.code,
        rank=topology.first_rank + late.local_rank,
        where=PHASE_WORDS[late.beat.phase],
        progress=late.beat.progress,
        tail=f"{stack[:TAIL_CHARACTERS]}\n{late.sentence[0].upper()}{late.sentence[1:]}.".strip(),
    )


def stopped(by: signal.Signals, topology: Topology, beats: Heartbeats) -> ReportError:
    """The error of a run that a signal to PID 1 stopped."""
    # A signal to PID 1 has no rank to blame, so the pod's first rank stands for it.
    where = PHASE_WORDS[beats.of(0).phase]
    return ReportError(code=128 + by, rank=topology.first_rank, where=where, tail=f"Stopped by {by.name}.")


def result_of(run: RunConfig, topology: Topology, scratch: Path, seconds_to_first_step: float | None) -> Report | None:
    """The Report of a run that ended well; None in a pod without rank 0, which alone has the result."""
    if topology.node_rank != 0:
        return None
    left = outcome(scratch, 0)
    if left is None:
        error = ReportError(code=ExitCode.BUG, rank=0, where="finishing", tail="Rank 0 ended without a result.")
        return Report(attempt=run.attempt, error=error)
    return left.model_copy(update={"seconds_to_first_step": seconds_to_first_step})
