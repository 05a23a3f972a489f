"""Finds the pod whose end explains best why an Attempt failed, and words it.

The order: a container that the kubelet calls OOMKilled, then the pods by `RootCauseRank`. Of several that stall, the
one whose rank came least far in its steps: the others stand in a collective and wait for it. Ties by pod index.
"""

from dataclasses import dataclass
from math import inf

from sdbench.api.reasons import BY_EXIT_CODE, Reason, with_remedy
from sdbench.api.spec import Spec
from sdbench.core.snapshot import AttemptState, PodExit, PodState
from sdbench_trainer.report import RootCauseRank, root_cause_rank

STRONG = {RootCauseRank.NAMED}
WAITED = {RootCauseRank.WAITED}
WEAK = set(RootCauseRank) - STRONG - WAITED
"""Ends that may follow from another's."""

SIGKILLED = 137
KILLS = {SIGKILLED, 143}
OUT_OF_HOST_MEMORY = "OOMKilled"
TAIL_CHARACTERS = 280
"""Length of the log's tail in a message: a row's message has room for 512."""

NEEDS_LOG = {Reason.CRASHED, Reason.UNKNOWN}
"""Reasons that say little by themselves: their sentences carry the log's tail."""

DISRUPTIONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "Preempting": Reason.PREEMPTED,  # the kubelet, to admit a critical pod
    "EvictionByEvictionAPI": Reason.EVICTED,
    "Evicted": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,  # by the kubelet of a node that shuts down
    "Shutdown": Reason.NODE_LOST,
    "NodeLost": Reason.NODE_LOST,
}

KUBELET_WORDS = {"Preempting", "Evicted", "NodeShutdown", "Terminated", "Shutdown", "NodeLost"}
"""Reasons of a pod itself; the others are of its condition DisruptionTarget."""

PREEMPTION = "Preemption"
"""The beginning of every word for a preemption, whoever preempts."""


@dataclass(frozen=True)
class RootCause:
    """The end that explains an Attempt's failure best."""

    reason: Reason
    sentence: str
    pod: str


def root_cause(state: AttemptState, spec: Spec, ranks: set[RootCauseRank]) -> RootCause | None:
    """The best explanation among the ends of these ranks.

    The exit code of a pod that its kubelet lost says nothing. Its rank is weak, and disruptions are considered before
    weak ends.
    """
    found = []
    for pod in state.pods:
        if pod.exit is not None and pod.exit.code != 0 and (rank := _rank(pod, pod.exit)) in ranks:
            error = pod.report.error if pod.report is not None else None
            # How far the rank came that the pod blames; a pod that does not say comes last.
            progress = error.progress if error is not None and error.progress is not None else (inf,)
            found.append((pod.exit.reason != OUT_OF_HOST_MEMORY, rank, progress, pod.index, pod, pod.exit))
    if not found:
        return None
    *_, pod, exited = min(found, key=lambda entry: entry[:4])
    reason, summary = _meaning(exited)
    return RootCause(reason, with_remedy(reason, summary, _evidence(pod, exited, reason, spec)), pod.name)


def disrupted_by(pod: PodState) -> Reason | None:
    """Why the cluster took the pod off its node; Interrupted for a word without a better name; None if it did not."""
    if pod.disruption in DISRUPTIONS:
        return DISRUPTIONS[pod.disruption]
    if pod.disruption.startswith(PREEMPTION):
        return Reason.PREEMPTED
    if pod.lost:
        return Reason.NODE_LOST
    return Reason.INTERRUPTED if pod.disruption else None


def last_words(output: str) -> str:
    """The end of an output, on one line."""
    line = " ".join(output.split())
    return line if len(line) <= TAIL_CHARACTERS else f"…{line[-TAIL_CHARACTERS:]}"


def _rank(pod: PodState, exited: PodExit) -> RootCauseRank:
    if exited.reason == OUT_OF_HOST_MEMORY:
        return RootCauseRank.NAMED
    if exited.before_start:
        # The init container gave up waiting for the master, so another pod's end explains it.
        return RootCauseRank.PEER
    if exited.code == SIGKILLED and pod.report is not None:
        # PID 1 survived, and reports that it found a rank killed.
        return RootCauseRank.RANK_KILLED
    if exited.code in KILLS:
        return RootCauseRank.POD_KILLED
    return root_cause_rank(exited.code) if exited.code in BY_EXIT_CODE else RootCauseRank.BUG


def _meaning(exited: PodExit) -> tuple[Reason, str]:
    """The reason that an exit means, and what happened as the first half of a sentence."""
    if exited.reason == OUT_OF_HOST_MEMORY:
        return Reason.OUT_OF_MEMORY_HOST, "The pod was killed for its memory"
    if exited.before_start:
        return Reason.RENDEZVOUS_TIMEOUT, "The pod did not find the master"
    if exited.code in KILLS:
        return Reason.INTERRUPTED, f"Killed by signal {exited.code - 128}"
    if exited.code in BY_EXIT_CODE:
        reason = BY_EXIT_CODE[exited.code]
        return reason, reason.entry.summary or reason.entry.when
    return Reason.CRASHED, f"The container ended with exit code {exited.code} ({exited.reason})"


def _evidence(pod: PodState, exited: PodExit, reason: Reason, spec: Spec) -> str:
    """Which pod and rank it was, what it was doing, and the end of its output."""
    error = pod.report.error if pod.report is not None else None
    place = f" while {error.where}" if error is not None and error.where else ""
    rank = f", rank {error.rank}" if error is not None and error.rank is not None else ""
    source = spec.data.remote or spec.data.claim
    data = f" reading {source}" if reason is Reason.DATA_MISSING and source else ""
    output = _excerpt(error.tail if error is not None else exited.message, reason)
    return f"pod {pod.name}{rank}{data}{place}{output}"


def _excerpt(output: str, reason: Reason) -> str:
    """The last line of the output; if nothing else is known, as much of its end as there is room for.

    A stalled rank's stack comes before its sentence, the innermost frame first.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return ""
    if reason in NEEDS_LOG:
        return f": {last_words(output)}"
    frame = f" ({lines[0]})" if reason is Reason.STALLED and len(lines) > 1 else ""
    return f": {last_words(lines[-1])}{frame}"
