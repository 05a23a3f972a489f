"""Builds the Report of PID 1 from how the ranks ended: an error, or the result."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from sdbench_trainer.heartbeat import PHASE_WORDS, Heartbeats
from sdbench_trainer.pod.ranks import Rank
from sdbench_trainer.pod.topology import Topology
from sdbench_trainer.pod.watchdog import RankExit, Stall
from sdbench_trainer.report import ExitCode, Report, ReportError
from sdbench_trainer.run import RUN_VARIABLE, RunConfig

TAIL_CHARACTERS = 1_200
STACK_LINES = 12

_SIGNALS = {
    signal.SIGKILL: "Killed by SIGKILL: the memory was full, or somebody did it.",
    signal.SIGBUS: "Killed by SIGBUS: the shared memory is full; raise perDevice.sharedMemory.",
    signal.SIGSEGV: "Killed by SIGSEGV: a native library crashed.",
}


def refusal(sentence: str) -> Report:
    """The report of a run that was not even started."""
    error = ReportError(code=ExitCode.CONFIG_INVALID, where="reading the configuration", tail=sentence)
    return Report(attempt=_attempt_in(os.environ.get(RUN_VARIABLE, "")), error=error)


def _attempt_in(text: str) -> str:
    import json

    try:
        return str(json.loads(text)["attempt"])
    except (ValueError, KeyError, TypeError):
        return ""


def outcome(scratch: Path, local_rank: int) -> Report | None:
    """What a rank left, if it could."""
    try:
        return Report.model_validate_json((scratch / f"outcome-{local_rank}.json").read_text())
    except (OSError, ValueError):
        return None


def _end_of(text: str) -> str:
    return text[-TAIL_CHARACTERS:].strip()


def _signal_sentence(status: int | None) -> str:
    if status is None or status >= 0:
        return ""
    return _SIGNALS.get(signal.Signals(-status), f"Killed by {signal.Signals(-status).name}.")


def failure_of(
    end: RankExit, ranks: Sequence[Rank], topology: Topology, beats: Heartbeats, scratch: Path
) -> ReportError:
    """The error of the rank that failed first: its own words, or else its last output."""
    local_rank = end.rank - topology.first_rank
    left = outcome(scratch, local_rank)
    if left is not None and left.error is not None:
        return left.error
    rank = ranks[local_rank]
    tail = f"{rank.output()}\n{rank.last_words() or _signal_sentence(rank.status)}"
    return ReportError(code=end.code, rank=end.rank, where=PHASE_WORDS[beats.of(local_rank).phase], tail=_end_of(tail))


def innermost_frames(output: str) -> str:
    """The top of the stack that faulthandler dumped for the thread that was interrupted."""
    _, found, stack = output.rpartition("Current thread ")
    return "\n".join(stack.splitlines()[1 : 1 + STACK_LINES]) if found else output


def stalled(late: Stall, ranks: Sequence[Rank], topology: Topology) -> ReportError:
    """The error of a run that stopped moving, with where the silent rank stood."""
    stack = innermost_frames(ranks[late.local_rank].output())[:TAIL_CHARACTERS]
    return ReportError(
        code=late.code,
        rank=topology.first_rank + late.local_rank,
        where=PHASE_WORDS[late.beat.phase],
        progress=late.beat.progress,
        tail=f"{stack}\n{late.sentence[0].upper()}{late.sentence[1:]}.".strip(),
    )


def stopped(by: signal.Signals, topology: Topology, beats: Heartbeats) -> ReportError:
    """The error of a run that was told to stop."""
    return ReportError(
        code=128 + by, rank=topology.first_rank, where=PHASE_WORDS[beats.of(0).phase], tail=f"Stopped by {by.name}."
    )


def result_of(run: RunConfig, topology: Topology, scratch: Path, seconds_to_first_step: float | None) -> Report | None:
    """The Report of a run that ended well; only the pod with rank 0 has it."""
    if topology.node_rank != 0:
        return None
    left = outcome(scratch, 0)
    if left is None:
        error = ReportError(code=ExitCode.BUG, rank=0, where="finishing", tail="Rank 0 ended without a result.")
        return Report(attempt=run.attempt, error=error)
    return left.model_copy(update={"seconds_to_first_step": seconds_to_first_step})
