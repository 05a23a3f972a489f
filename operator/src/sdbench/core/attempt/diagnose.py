"""Why did an Attempt end? The first cause, with a sentence that says what to do; or None while it runs.

Causes are asked for in the order in which they tell most: what voids everything, a complete result, a pod that names
its cause, what the cluster did to the pods, and then ends that may follow from another's. Such a weak cause waits some
seconds for a stronger one to be heard; a limit that is over comes last.

A rank that stalls may wait for one whose node is lost, and its own patience may be shorter than the cluster's. So its
word is held until all pods have ended by themselves, or the cluster would have said so.

A job that somebody suspends loses its pods: the training-operator deletes them, they are killed (143), their peers are
lost (69), they vanish. All of that is the suspension's work, so while a job is suspended no weak cause is asked for:
it was preempted if its pods had been there, else it waits. `suspend` is set before any pod is deleted, and a job whose
pods go is read again after them (controller/reconcile.py), so a deleted pod of a job that does not say so was deleted
by somebody else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.spec import Limits, Spec
from sdbench.api.status import Reason, TrialRow
from sdbench.core.attempt import facts
from sdbench.core.attempt.blockers import Blocker, blockers, partial_gang, suspended_by, unstarted_pods
from sdbench.core.attempt.facts import different_images
from sdbench.core.attempt.reasons import CONSEQUENCES, Consequence, with_remedy
from sdbench.core.attempt.root_cause import STRONG, WAITED, WEAK, RootCause, disrupted_by, last_words, root_cause
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import AttemptState
from sdbench_trainer.report import Report
from sdbench_trainer.run import STALL_FLOOR_SECONDS

SETTLE_SECONDS = 15
"""How long a weak cause waits for a stronger one: a rank that lost its peer stays that much longer than the culprit."""


NODE_SECONDS = 90
"""How long after a node fell silent the cluster has said so of its pods: some 80 s after its last sign of life."""


def silence_seconds(limits: Limits) -> int:
    """How long after the first pod that stalled the others are waited for: what NODE_SECONDS leave of its patience."""
    patience = min(limits.first_step_seconds, limits.stall_seconds, STALL_FLOOR_SECONDS)
    return max(SETTLE_SECONDS, NODE_SECONDS - patience)


@dataclass(frozen=True)
class Diagnosis:
    """How an Attempt ended."""

    reason: Reason
    message: str
    consequence: Consequence
    report: Report | None = None
    """Of a measured Attempt."""
    given_up: bool = False
    """Because a limit is over, however long ago a first pod has ended."""


def diagnose(
    row: TrialRow, state: AttemptState, trial: Trial, spec: Spec, image: str, now: datetime
) -> Diagnosis | None:
    """Why the live row's Attempt has ended, the strongest cause first; None while it runs."""
    return (
        _name_conflict(state)
        or _remade(row, state)
        or _replaced(row, state)
        or _measured(state, trial)
        or _culprit(row, state, spec, image, now, {STRONG})
        or (None if state.suspended else _disrupted(state))
        or _waited(row, state, spec, image, now)
        or (_held(row, state) if state.suspended else _disturbed(row, state, spec, image, now))
        or _given_up(row, state, spec, image, now)
    )


def has_first_sign_of_end(row: TrialRow, state: AttemptState) -> bool:
    """Whether a first sign of an end is there, good or bad, from which it is waited for others."""
    if row.ended_at is not None or (state.suspended and not facts.had_all_pods(row)):
        return False
    return any(pod.lost or pod.exit is not None for pod in state.pods) or _silent(state)


def obstacles(row: TrialRow, state: AttemptState, spec: Spec, image: str) -> tuple[Blocker, ...]:
    """What stands in the way while the Attempt is not ending by itself."""
    return blockers(row, state, spec.limits, image)


def diagnosis(reason: Reason, message: str) -> Diagnosis:
    """An end with the usual consequence of its reason."""
    return Diagnosis(reason, message, CONSEQUENCES[reason])


def diagnosis_with_remedy(reason: Reason, what: str, detail: str = "") -> Diagnosis:
    """The same, with what to do about it in the sentence."""
    return diagnosis(reason, with_remedy(reason, what, detail))


def _name_conflict(state: AttemptState) -> Diagnosis | None:
    if not state.foreign:
        return None
    return diagnosis_with_remedy(
        Reason.NAME_CONFLICT, f"Another owner's object is called {state.name}; it is left alone"
    )


def _remade(row: TrialRow, state: AttemptState) -> Diagnosis | None:
    """What another job of the same name left does not count."""
    return _vanished(row, state) if facts.job_replaced(row, state) else None


def _replaced(row: TrialRow, state: AttemptState) -> Diagnosis | None:
    which = facts.replaced_pod(row, state)
    if which is None:
        return None
    if facts.suspended_after_scheduling(row, state):
        return _preempted(state)
    return diagnosis_with_remedy(
        Reason.INTERRUPTED, f"{which} was replaced in the middle of the run; what was measured is void"
    )


def _measured(state: AttemptState, trial: Trial) -> Diagnosis | None:
    if not facts.all_exited_well(state):
        return None
    report = facts.valid_report(state, trial)
    if report is None:
        what = f"The run ended well, but pod {_master(state)} left no complete report of this attempt"
        return diagnosis_with_remedy(Reason.REPORT_LOST, what)
    if images := different_images(pod.image_id for pod in state.pods):
        return diagnosis_with_remedy(Reason.MIXED_IMAGES, "The pods ran different images", " / ".join(images))
    return Diagnosis(Reason.MEASURED, "", Consequence.MEASURED, report)


def _culprit(
    row: TrialRow, state: AttemptState, spec: Spec, image: str, now: datetime, ranks: set[int]
) -> Diagnosis | None:
    found = root_cause(state, spec, ranks)
    if found is None:
        return None
    if found.reason is Reason.RENDEZVOUS_TIMEOUT:
        if gang := partial_gang(row, state):
            # The others could not come: it is the cluster that has no room for all, and no failure.
            return Diagnosis(Reason.UNSCHEDULABLE, f"{gang}: {found.sentence}", Consequence.BACKS_OFF)
        if late := sorted(unstarted_pods(state, spec.limits, image), key=_vague):
            return _given_up(row, state, spec, image, now) or _awaited_in_vain(late[0], found, row, spec)
    return diagnosis(found.reason, found.sentence)


def _vague(obstacle: Blocker) -> bool:
    return obstacle.reason is Reason.DEADLINE_EXCEEDED


def _awaited_in_vain(obstacle: Blocker, found: RootCause, row: TrialRow, spec: Spec) -> Diagnosis:
    """Another pod does not run yet, and a peer has no patience left. What stays in the way is told for good at last."""
    said = f"{obstacle.brief}: pod {found.pod} has given up waiting for it. {obstacle.detail}".strip()
    again = row.failures < spec.retries
    return Diagnosis(obstacle.reason, said, Consequence.RETRIED if again else obstacle.consequence)


def _held(row: TrialRow, state: AttemptState) -> Diagnosis | None:
    """Of a suspended job: it may wait as long as nothing of it was seen to run."""
    return _vanished(row, state) or (_preempted(state) if facts.had_all_pods(row) else None)


def _disturbed(row: TrialRow, state: AttemptState, spec: Spec, image: str, now: datetime) -> Diagnosis | None:
    """What somebody did to the job and its pods; then weak causes."""
    return _vanished(row, state) or _deleted(row, state) or _settled(row, state, spec, image, now)


def _waited(row: TrialRow, state: AttemptState, spec: Spec, image: str, now: datetime) -> Diagnosis | None:
    """Of a rank that waited in vain; whether for one on a lost node, the cluster may still have to say."""
    found = root_cause(state, spec, {WAITED})
    if found is None or (found.reason is Reason.STALLED and not _heard_out(row, state, spec, now)):
        return None
    return _culprit(row, state, spec, image, now, {WAITED})


def _heard_out(row: TrialRow, state: AttemptState, spec: Spec, now: datetime) -> bool:
    """Whether no more can be expected to be heard of pods that have stalled."""
    if facts.all_pods_exist(state) and facts.all_exited(state):
        return True
    return row.ended_at is not None and now >= row.ended_at + timedelta(seconds=silence_seconds(spec.limits))


def _preempted(state: AttemptState) -> Diagnosis:
    pods = f"{len(state.pods)} of {state.planned_pods} pods are left"
    return diagnosis_with_remedy(
        Reason.PREEMPTED, f"Job {state.name} was suspended by {suspended_by(state)} after its pods were there", pods
    )


def _disrupted(state: AttemptState) -> Diagnosis | None:
    """The first pod that its node or the cluster has put an end to; one with a known cause tells more."""
    found = [(reason, pod) for pod in state.pods if (reason := disrupted_by(pod)) is not None]
    if not found:
        return None
    reason, pod = min(found, key=lambda one: (one[0] is Reason.INTERRUPTED, one[1].index))
    word = pod.disruption or (pod.exit.reason if pod.exit is not None else "") or "its end is not known"
    what = f"Pod {pod.name} was taken off node {pod.node or 'unknown'} ({word})"
    return diagnosis_with_remedy(reason, what, last_words(pod.disruption_message))


def _vanished(row: TrialRow, state: AttemptState) -> Diagnosis | None:
    if not facts.job_is_gone(row, state):
        return None
    return diagnosis_with_remedy(Reason.JOB_DELETED, f"Job {state.name} was deleted by somebody else")


def _deleted(row: TrialRow, state: AttemptState) -> Diagnosis | None:
    what = facts.deleted_pod(row, state)
    if not what:
        return None
    return (
        _preempted(state)
        if facts.suspended_after_scheduling(row, state)
        else diagnosis_with_remedy(Reason.INTERRUPTED, what)
    )


def _settled(row: TrialRow, state: AttemptState, spec: Spec, image: str, now: datetime) -> Diagnosis | None:
    """A weak cause, once no stronger one can be expected."""
    waited = row.ended_at is not None and now >= row.ended_at + timedelta(seconds=SETTLE_SECONDS)
    if root_cause(state, spec, {WAITED}) or (not waited and not (state.pods and facts.all_exited(state))):
        return None
    if cause := _culprit(row, state, spec, image, now, WEAK):
        return cause
    if waited and _silent(state):
        return diagnosis_with_remedy(
            Reason.UNKNOWN, f"Job {state.name} ended and its pods do not say why", _last_words(state)
        )
    return None


def _silent(state: AttemptState) -> bool:
    """Whether the job has ended though no pod runs or failed."""
    return state.job_ended and facts.all_exited(state) and not facts.all_exited_well(state)


def _last_words(state: AttemptState) -> str:
    """What the job says of its end, and the end of what its first pod left that is no report."""
    ends = (pod.exit.message for pod in state.pods if pod.exit is not None and pod.report is None)
    return " ".join(filter(None, (state.said, last_words(next(ends, "")))))


def _master(state: AttemptState) -> str:
    return next((pod.name for pod in state.pods if pod.index == 0), "0")


def _given_up(row: TrialRow, state: AttemptState, spec: Spec, image: str, now: datetime) -> Diagnosis | None:
    for obstacle in obstacles(row, state, spec, image):
        if obstacle.due <= now:
            return Diagnosis(obstacle.reason, obstacle.sentence, obstacle.consequence, given_up=True)
    return None
