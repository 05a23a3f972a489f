"""Why did an Attempt end? The first cause, with a sentence that says what to do; or None while it runs.

Of several pods that ended badly the culprit is the one with the most telling end: the kubelet's `OOMKilled`, then
exit codes 64–68, 71 and 72, then 70 and unknown codes, then 69 (a peer was lost: whose?), then 143 and 137 (killed,
which follows from anything); ties by pod index. A weak cause waits some seconds for a stronger one to be heard.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.spec import Spec
from sdbench.api.status import Reason, TrialRow
from sdbench.core import attempts
from sdbench.core.consequences import CONSEQUENCES, Consequence
from sdbench.core.hindrances import Hindrance, hindrances
from sdbench.core.plan import Trial
from sdbench.core.world import AttemptState, PodExit, PodState
from sdbench_trainer.report import ExitCode, Report

SETTLE_SECONDS = 15
"""How long a weak cause waits for a stronger one: a rank that lost its peer stays that much longer than the culprit."""

STRONG, BUG, PEER, KILLED = range(4)
"""Ranks of culprits, the most telling first."""

KILLS = {137, 143}


@dataclass(frozen=True)
class Ending:
    """How an Attempt ended."""

    reason: Reason
    message: str
    consequence: Consequence
    report: Report | None = None
    """Of a measured Attempt."""


@dataclass(frozen=True)
class CodeMeaning:
    """What an exit code says."""

    reason: Reason
    advice: str


CODES: dict[int, CodeMeaning] = {
    ExitCode.CONFIG_INVALID: CodeMeaning(Reason.CONFIG_INVALID, "The trainer refuses the configuration"),
    ExitCode.DATA_MISSING: CodeMeaning(Reason.DATA_MISSING, "The data cannot be read; check spec.data"),
    ExitCode.RENDEZVOUS_TIMEOUT: CodeMeaning(
        Reason.RENDEZVOUS_TIMEOUT, "The pods did not meet within limits.rendezvousSeconds; check the network"
    ),
    ExitCode.OUT_OF_DEVICE_MEMORY: CodeMeaning(
        Reason.OUT_OF_MEMORY_DEVICE, "The device's memory is full; lower deviceMicrobatchSize"
    ),
    ExitCode.LOSS_NOT_FINITE: CodeMeaning(
        Reason.LOSS_NOT_FINITE, "The loss is not finite; lower learningRate or use another precision"
    ),
    ExitCode.PEER_LOST: CodeMeaning(Reason.PEER_LOST, "A rank lost its peers"),
    ExitCode.BUG: CodeMeaning(Reason.CRASHED, "The trainer crashed"),
    ExitCode.STALLED: CodeMeaning(Reason.STALLED, "The run made no step for too long"),
    ExitCode.SHARED_MEMORY_FULL: CodeMeaning(
        Reason.SHARED_MEMORY_FULL, "The shared memory is full; raise devices.perDevice.sharedMemory"
    ),
    ExitCode.COLLECTIVE_ERROR: CodeMeaning(
        Reason.COLLECTIVE_ERROR, "A collective failed though no peer was lost; check the network between the devices"
    ),
    ExitCode.MIXED_DEVICES: CodeMeaning(
        Reason.MIXED_DEVICES, "The ranks ran on different devices; choose one kind by scheduling.nodeSelector"
    ),
}
OUT_OF_HOST_MEMORY = CodeMeaning(
    Reason.OUT_OF_MEMORY_HOST, "The pod was killed for its memory; raise devices.perDevice.memory"
)


def ending(row: TrialRow, state: AttemptState, trial: Trial, spec: Spec, image: str, now: datetime) -> Ending | None:
    """Why the live row's Attempt has ended, the strongest cause first; None while it runs."""
    return (
        _name_conflict(state)
        or _remade(row, state)
        or _replaced(row, state)
        or _measured(state, trial)
        or _culprit(state, spec, {STRONG})
        or _disrupted(state)
        or _vanished(row, state)
        or _deleted(row, state)
        or _settled(row, state, spec, now)
        or _given_up(state, spec, image, now)
    )


def seen_to_end(row: TrialRow, state: AttemptState) -> bool:
    """Whether a first sign of an end is there, from which SETTLE_SECONDS count."""
    return row.ended_at is None and (any(_failed(pod) for pod in state.pods) or _silent(state))


def obstacles(state: AttemptState, spec: Spec, image: str) -> tuple[Hindrance, ...]:
    """What stands in the way while the Attempt is not ending by itself."""
    return hindrances(state, spec.limits, image)


def ended(reason: Reason, message: str) -> Ending:
    """An end with the usual consequence of its reason."""
    return Ending(reason, message, CONSEQUENCES[reason])


def _name_conflict(state: AttemptState) -> Ending | None:
    if not state.foreign:
        return None
    return ended(Reason.NAME_CONFLICT, f"Another owner's object is called {state.name}; it is left alone")


def _remade(row: TrialRow, state: AttemptState) -> Ending | None:
    """What another job of the same name left does not count."""
    return _vanished(row, state) if attempts.remade(row, state) else None


def _replaced(row: TrialRow, state: AttemptState) -> Ending | None:
    if not attempts.replaced(row, state):
        return None
    return ended(Reason.INTERRUPTED, "A pod was replaced in the middle of the run; what was measured is void")


def _measured(state: AttemptState, trial: Trial) -> Ending | None:
    if not attempts.all_exited_well(state):
        return None
    report = attempts.valid_report(state, trial)
    if report is None:
        return ended(Reason.REPORT_LOST, "The run ended well but left no complete report of this attempt")
    return Ending(Reason.MEASURED, "", Consequence.MEASURED, report)


def _disrupted(state: AttemptState) -> Ending | None:
    pod = attempts.disrupted(state)
    if pod is None:
        return None
    return ended(Reason.INTERRUPTED, f"Pod {pod.name} was taken off node {pod.node or 'unknown'}: {pod.disruption}")


def _vanished(row: TrialRow, state: AttemptState) -> Ending | None:
    if not attempts.vanished(row, state):
        return None
    return ended(Reason.JOB_VANISHED, f"Job {state.name} was deleted by somebody else")


def _deleted(row: TrialRow, state: AttemptState) -> Ending | None:
    sentence = attempts.deleted_pod(row, state)
    return ended(Reason.INTERRUPTED, sentence) if sentence else None


def _settled(row: TrialRow, state: AttemptState, spec: Spec, now: datetime) -> Ending | None:
    """A weak cause, once no stronger one can be expected."""
    waited = row.ended_at is not None and now >= row.ended_at + timedelta(seconds=SETTLE_SECONDS)
    if not waited and not (state.pods and attempts.all_exited(state)):
        return None
    if cause := _culprit(state, spec, {BUG, PEER, KILLED}):
        return cause
    if waited and _silent(state):
        return ended(Reason.UNKNOWN, f"Job {state.name} ended and its pods do not say why")
    return None


def _silent(state: AttemptState) -> bool:
    """Whether the job has ended though no pod runs or failed."""
    return state.job_ended and attempts.all_exited(state) and not attempts.all_exited_well(state)


def _given_up(state: AttemptState, spec: Spec, image: str, now: datetime) -> Ending | None:
    for obstacle in obstacles(state, spec, image):
        if obstacle.due <= now:
            return Ending(obstacle.reason, obstacle.sentence, obstacle.consequence)
    return None


def _failed(pod: PodState) -> bool:
    return pod.exit is not None and pod.exit.code != 0


def _rank(exited: PodExit) -> int:
    if exited.reason == "OOMKilled":
        return STRONG
    if exited.code in KILLS:
        return KILLED
    if exited.code == ExitCode.PEER_LOST:
        return PEER
    return STRONG if exited.code in CODES and exited.code != ExitCode.BUG else BUG


def _culprit(state: AttemptState, spec: Spec, ranks: set[int]) -> Ending | None:
    found = [
        (pod.exit.reason != "OOMKilled", _rank(pod.exit), pod.index, pod, pod.exit)
        for pod in state.pods
        if pod.exit is not None and pod.exit.code != 0 and _rank(pod.exit) in ranks
    ]
    if not found:
        return None
    *_, pod, exited = min(found, key=lambda entry: entry[:3])
    meaning = _meaning(exited)
    return ended(meaning.reason, f"{meaning.advice}: {_accused(pod, exited, meaning, spec)}")


def _meaning(exited: PodExit) -> CodeMeaning:
    if exited.reason == "OOMKilled":
        return OUT_OF_HOST_MEMORY
    if exited.code in KILLS:
        return CodeMeaning(Reason.INTERRUPTED, f"Killed by signal {exited.code - 128}")
    return CODES.get(exited.code) or CodeMeaning(Reason.CRASHED, f"The container ended with exit code {exited.code}")


def _accused(pod: PodState, exited: PodExit, meaning: CodeMeaning, spec: Spec) -> str:
    """Who it was and what it said last."""
    error = pod.report.error if pod.report is not None else None
    said = error.tail if error is not None else exited.message
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    place = f" while {error.where}" if error is not None and error.where else ""
    rank = f", rank {error.rank}" if error is not None and error.rank is not None else ""
    source = spec.data.remote or spec.data.claim
    data = f" reading {source}" if meaning.reason is Reason.DATA_MISSING and source else ""
    return f"pod {pod.name}{rank}{data}{place}: {lines[-1]}" if lines else f"pod {pod.name}{rank}{data}{place}"
