"""Which pod is to blame, and what did it say? The pod with the most telling end, as a reason and a sentence.

The order: the kubelet's `OOMKilled`, then exit codes that name their cause, then 66 and 71 (nothing happened: who did
not come, or go on?), then 137 of which PID 1 says that it found a rank killed, then 70 and unknown codes, then 73 (a
collective failed: of whose peer?), then 69 (a peer was lost: whose?), then 143 and 137 (PID 1 was stopped or killed
itself, which follows from anything). Of several that hang, the one that came least far in its steps: the others stand
in a collective and wait for it. Ties by pod index.

What took a pod off its node? From the cluster's word for it to a reason.
"""

from dataclasses import dataclass
from math import inf

from sdbench.api.spec import Spec
from sdbench.api.status import Reason
from sdbench.core.attempt.reasons import with_remedy
from sdbench.core.snapshot import AttemptState, PodExit, PodState
from sdbench_trainer.report import ExitCode

STRONG, WAITED, LOST_RANK, BUG, COLLECTIVE, PEER, KILLED = range(7)
"""Ranks of culprits, the most telling first."""

WEAK = {LOST_RANK, BUG, COLLECTIVE, PEER, KILLED}
"""Ends that may follow from another's."""

SIGKILLED = 137
KILLS = {SIGKILLED, 143}
OUT_OF_HOST_MEMORY = "OOMKilled"
TAIL_CHARACTERS = 280
"""Of what a crashed pod said last: a row's message has room for 512."""

TALKATIVE = {Reason.CRASHED, Reason.UNKNOWN}
"""Reasons that say little by themselves: their sentences carry the log's tail."""


@dataclass(frozen=True)
class CodeMeaning:
    """What an exit code says."""

    reason: Reason
    what: str


CODES: dict[int, CodeMeaning] = {
    ExitCode.CONFIG_INVALID: CodeMeaning(Reason.CONFIG_INVALID, "The trainer refuses the configuration"),
    ExitCode.DATA_MISSING: CodeMeaning(Reason.DATA_MISSING, "The data cannot be read"),
    ExitCode.RENDEZVOUS_TIMEOUT: CodeMeaning(Reason.RENDEZVOUS_TIMEOUT, "The pods did not meet in time"),
    ExitCode.OUT_OF_DEVICE_MEMORY: CodeMeaning(Reason.OUT_OF_MEMORY_DEVICE, "The device's memory is full"),
    ExitCode.LOSS_NOT_FINITE: CodeMeaning(Reason.LOSS_NOT_FINITE, "The loss is not finite"),
    ExitCode.PEER_LOST: CodeMeaning(Reason.PEER_LOST, "A rank lost its peers"),
    ExitCode.BUG: CodeMeaning(Reason.CRASHED, "The trainer crashed"),
    ExitCode.STALLED: CodeMeaning(Reason.STALLED, "The run made no step for too long"),
    ExitCode.SHARED_MEMORY_FULL: CodeMeaning(Reason.SHARED_MEMORY_FULL, "The shared memory is full"),
    ExitCode.COLLECTIVE_ERROR: CodeMeaning(
        Reason.COLLECTIVE_ERROR, "A collective operation failed though no peer was lost"
    ),
    ExitCode.MIXED_DEVICES: CodeMeaning(Reason.MIXED_DEVICES, "The ranks ran on different devices"),
}
RANKS = {
    ExitCode.RENDEZVOUS_TIMEOUT: WAITED,
    ExitCode.STALLED: WAITED,
    ExitCode.BUG: BUG,
    ExitCode.COLLECTIVE_ERROR: COLLECTIVE,
    ExitCode.PEER_LOST: PEER,
}


@dataclass(frozen=True)
class RootCause:
    """Whom an end is laid to."""

    reason: Reason
    sentence: str
    pod: str


def root_cause(state: AttemptState, spec: Spec, ranks: set[int]) -> RootCause | None:
    """The most telling end among those of these ranks.

    The code of a pod that its kubelet lost says nothing; its rank is weak, and disruptions are asked for before those.
    """
    found = [
        (pod.exit.reason != OUT_OF_HOST_MEMORY, _rank(pod, pod.exit), _progress(pod), pod.index, pod, pod.exit)
        for pod in state.pods
        if pod.exit is not None and pod.exit.code != 0 and _rank(pod, pod.exit) in ranks
    ]
    if not found:
        return None
    *_, pod, exited = min(found, key=lambda entry: entry[:4])
    meaning = _meaning(exited)
    said = with_remedy(meaning.reason, meaning.what, _accused(pod, exited, meaning.reason, spec))
    return RootCause(meaning.reason, said, pod.name)


def last_words(said: str) -> str:
    """The end of what was said, on one line."""
    line = " ".join(said.split())
    return line if len(line) <= TAIL_CHARACTERS else f"…{line[-TAIL_CHARACTERS:]}"


def _progress(pod: PodState) -> tuple[float, ...]:
    """How far the rank came that the pod blames; one of which that is not known, as far as can be."""
    told = pod.report.error.progress if pod.report is not None and pod.report.error is not None else None
    return told if told is not None else (inf,)


def _rank(pod: PodState, exited: PodExit) -> int:
    if exited.reason == OUT_OF_HOST_MEMORY:
        return STRONG
    if exited.before_start:
        return PEER
    if exited.code == SIGKILLED and pod.report is not None:
        return LOST_RANK
    if exited.code in KILLS:
        return KILLED
    return RANKS.get(ExitCode(exited.code), STRONG) if exited.code in CODES else BUG


def _meaning(exited: PodExit) -> CodeMeaning:
    if exited.reason == OUT_OF_HOST_MEMORY:
        return CodeMeaning(Reason.OUT_OF_MEMORY_HOST, "The pod was killed for its memory")
    if exited.before_start:
        return CodeMeaning(Reason.RENDEZVOUS_TIMEOUT, "The pod did not find the master")
    if exited.code in KILLS:
        return CodeMeaning(Reason.INTERRUPTED, f"Killed by signal {exited.code - 128}")
    known = CODES.get(exited.code)
    return known or CodeMeaning(Reason.CRASHED, f"The container ended with exit code {exited.code} ({exited.reason})")


def _accused(pod: PodState, exited: PodExit, reason: Reason, spec: Spec) -> str:
    """Who it was and what it said last."""
    error = pod.report.error if pod.report is not None else None
    place = f" while {error.where}" if error is not None and error.where else ""
    rank = f", rank {error.rank}" if error is not None and error.rank is not None else ""
    source = spec.data.remote or spec.data.claim
    data = f" reading {source}" if reason is Reason.DATA_MISSING and source else ""
    said = _said(error.tail if error is not None else exited.message, reason)
    return f"pod {pod.name}{rank}{data}{place}{said}"


def _said(words: str, reason: Reason) -> str:
    """The sentence at the end of what a pod said; where nothing else is known, as much as there is room for.

    A stalled rank's stack stands before its sentence, the innermost frame first.
    """
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if not lines:
        return ""
    if reason in TALKATIVE:
        return f": {last_words(words)}"
    frame = f" ({lines[0]})" if reason is Reason.STALLED and len(lines) > 1 else ""
    return f": {last_words(lines[-1])}{frame}"


REASONS = {
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
"""How every word for a preemption begins, by whomever."""


def disrupted_by(pod: PodState) -> Reason | None:
    """Why the pod could not go on where it was; Interrupted for a word without a better name; None: nothing did it."""
    if pod.disruption in REASONS:
        return REASONS[pod.disruption]
    if pod.disruption.startswith(PREEMPTION):
        return Reason.PREEMPTED
    if pod.lost:
        return Reason.NODE_LOST
    return Reason.INTERRUPTED if pod.disruption else None
