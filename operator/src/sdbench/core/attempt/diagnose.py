"""Diagnoses why an Attempt ended: a chain of policies, of which the first that applies decides."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.consequences import Consequence
from sdbench.api.reasons import Reason, with_remedy
from sdbench.api.spec import Limits, Spec
from sdbench.api.status import TrialRow
from sdbench.core.attempt import facts
from sdbench.core.attempt.blockers import blockers, partial_gang, suspended_by, unstarted_pods
from sdbench.core.attempt.root_cause import STRONG, WAITED, WEAK, disrupted_by, last_words, root_cause
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import AttemptState
from sdbench_trainer.report import Report, RootCauseRank
from sdbench_trainer.run import STALL_FLOOR_SECONDS

SETTLE_SECONDS = 15
"""How long a weak cause waits for a stronger one: a rank that lost its peer reports it that much later at most."""

NODE_SECONDS = 90
"""How long after a node fell silent the cluster has marked its pods: some 80 s after the node's last heartbeat."""


def silence_seconds(limits: Limits) -> int:
    """How long to wait for other pods after the first that stalled.

    The stalled rank may have waited for a rank on a lost node, and its own timeout may be shorter than the cluster's.
    """
    timeout = min(limits.first_step_seconds, limits.stall_seconds, STALL_FLOOR_SECONDS)
    return max(SETTLE_SECONDS, NODE_SECONDS - timeout)


@dataclass(frozen=True)
class Diagnosis:
    """Why an Attempt ended, and what follows."""

    reason: Reason
    message: str
    consequence: Consequence
    report: Report | None = None
    """The Report of a measured Attempt."""
    limit_over: bool = False
    """A limit is over, however long ago a first pod has ended."""


def diagnosis(reason: Reason, message: str) -> Diagnosis:
    """A Diagnosis with the usual consequence of its reason."""
    return Diagnosis(reason, message, reason.consequence)


@dataclass(frozen=True)
class Case:
    """A live row, its Attempt, and what was asked, at the moment of a pass."""

    row: TrialRow
    state: AttemptState
    trial: Trial
    spec: Spec
    image: str
    now: datetime

    def has_waited(self, seconds: int) -> bool:
        """Whether these seconds have passed since the first sign of an end."""
        return self.row.ended_at is not None and self.now >= self.row.ended_at + timedelta(seconds=seconds)


def diagnose(
    row: TrialRow, state: AttemptState, trial: Trial, spec: Spec, image: str, now: datetime
) -> Diagnosis | None:
    """Why the live row's Attempt has ended; None while it runs or waits."""
    case = Case(row, state, trial, spec, image, now)
    return next((found for policy in POLICIES if (found := policy(case)) is not None), None)


def has_first_sign_of_end(row: TrialRow, state: AttemptState) -> bool:
    """Whether a pod or the job has ended for the first time, well or not, so that the others are now waited for."""
    if row.ended_at is not None or (state.suspended and not facts.had_all_pods(row)):
        return False
    return any(pod.lost or pod.exit is not None for pod in state.pods) or _ended_silently(state)


def _name_conflict(case: Case) -> Diagnosis | None:
    if not case.state.foreign:
        return None
    what = f"Another owner's object is called {case.state.name}; it is left alone"
    return diagnosis(Reason.NAME_CONFLICT, with_remedy(Reason.NAME_CONFLICT, what))


def _pod_replaced(case: Case) -> Diagnosis | None:
    pod = facts.replaced_pod(case.row, case.state)
    if pod is None:
        return None
    if facts.suspended_after_scheduling(case.row, case.state):
        return _preempted(case.state)
    what = f"{pod} was replaced in the middle of the run; what was measured is void"
    return diagnosis(Reason.INTERRUPTED, with_remedy(Reason.INTERRUPTED, what))


def _measured(case: Case) -> Diagnosis | None:
    state = case.state
    if not facts.all_exited_well(state):
        return None
    report = facts.valid_report(state, case.trial)
    if report is None:
        master = next((pod.name for pod in state.pods if pod.index == 0), "0")
        what = f"The run ended well, but pod {master} left no complete report of this attempt"
        return diagnosis(Reason.REPORT_LOST, with_remedy(Reason.REPORT_LOST, what))
    if images := facts.different_images(pod.image_id for pod in state.pods):
        sentence = with_remedy(Reason.MIXED_IMAGES, "The pods ran different images", " / ".join(images))
        return diagnosis(Reason.MIXED_IMAGES, sentence)
    return Diagnosis(Reason.MEASURED, "", Consequence.MEASURED, report)


def _disrupted(case: Case) -> Diagnosis | None:
    """Blames the first pod that was taken off its node, one with a precise reason before others."""
    found = [(reason, pod) for pod in case.state.pods if (reason := disrupted_by(pod)) is not None]
    if not found or case.state.suspended:
        return None
    reason, pod = min(found, key=lambda one: (one[0] is Reason.INTERRUPTED, one[1].index))
    word = pod.disruption or (pod.exit.reason if pod.exit is not None else "") or "its end is not known"
    what = f"Pod {pod.name} was taken off node {pod.node or 'unknown'} ({word})"
    return diagnosis(reason, with_remedy(reason, what, last_words(pod.disruption_message)))


def _waited(case: Case) -> Diagnosis | None:
    found = root_cause(case.state, case.spec, WAITED)
    if found is None:
        return None
    # The rank that stalled may have waited for one on a node that the cluster has not given up yet.
    all_ended = facts.all_pods_exist(case.state) and facts.all_exited(case.state)
    if found.reason is Reason.STALLED and not all_ended and not case.has_waited(silence_seconds(case.spec.limits)):
        return None
    return _from_exits(case, WAITED)


def _job_deleted(case: Case) -> Diagnosis | None:
    deleted = case.state.job_uid is None or case.state.deleting
    if not deleted and not facts.job_replaced(case.row, case.state):
        return None
    what = f"Job {case.state.name} was deleted by somebody else"
    return diagnosis(Reason.JOB_DELETED, with_remedy(Reason.JOB_DELETED, what))


def _suspended(case: Case) -> Diagnosis | None:
    """A suspended job whose pods were never there just waits for admission."""
    return _preempted(case.state) if case.state.suspended and facts.had_all_pods(case.row) else None


def _pod_deleted(case: Case) -> Diagnosis | None:
    what = facts.deleted_pod(case.row, case.state)
    if not what or case.state.suspended:
        return None
    if facts.suspended_after_scheduling(case.row, case.state):
        return _preempted(case.state)
    return diagnosis(Reason.INTERRUPTED, with_remedy(Reason.INTERRUPTED, what))


def _weak_cause(case: Case) -> Diagnosis | None:
    state, waited = case.state, case.has_waited(SETTLE_SECONDS)
    all_ended = bool(state.pods) and facts.all_exited(state)
    # A stall that `_waited` holds back is the better explanation.
    if state.suspended or root_cause(state, case.spec, WAITED) or not (waited or all_ended):
        return None
    if found := _from_exits(case, WEAK):
        return found
    if waited and _ended_silently(state):
        what = f"Job {state.name} ended and its pods do not say why"
        output = next((pod.exit.message for pod in state.pods if pod.exit is not None and pod.report is None), "")
        detail = " ".join(filter(None, (state.said, last_words(output))))
        return diagnosis(Reason.UNKNOWN, with_remedy(Reason.UNKNOWN, what, detail))
    return None


def _limit_over(case: Case) -> Diagnosis | None:
    for blocker in blockers(case.row, case.state, case.spec.limits, case.image):
        if blocker.due <= case.now:
            return Diagnosis(blocker.reason, blocker.sentence, blocker.consequence, limit_over=True)
    return None


POLICIES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    # The name belongs to another owner's object, so nothing that is seen under it is ours.
    _name_conflict,
    # Another job has the name of the one that was seen: what it left does not count.
    lambda case: _job_deleted(case) if facts.job_replaced(case.row, case.state) else None,
    # A pod took the place of another: their ranks did not see one run, and even a result is void.
    _pod_replaced,
    # A result counts, whatever happened to the pods afterwards.
    _measured,
    # An exit that names its cause tells more than what the cluster did to other pods.
    lambda case: _from_exits(case, STRONG),
    # The cluster took a pod off its node, which explains every end below.
    _disrupted,
    # A rank waited for one that did not come or did not go on.
    _waited,
    # The job is gone, and this operator has not deleted it.
    _job_deleted,
    # A suspended job loses its pods: the training-operator deletes them, they are killed (143), their peers are lost
    # (69). All of that is the suspension's work, so no weak cause is considered below while it is suspended.
    _suspended,
    # `suspend` is set before any pod is deleted, and a job whose pods go is read again after them
    # (controller/reconcile.py): so a pod that is deleted under a job without it was deleted by somebody else.
    _pod_deleted,
    # An end that may follow from another's, once no better explanation can be expected.
    _weak_cause,
    # Nothing has ended, and a limit is over.
    _limit_over,
)
"""The strongest explanation first."""


def _from_exits(case: Case, ranks: set[RootCauseRank]) -> Diagnosis | None:
    """The best explanation among the pods' exits; a missed rendezvous is blamed on the pod that never started."""
    found = root_cause(case.state, case.spec, ranks)
    if found is None:
        return None
    if found.reason is Reason.RENDEZVOUS_TIMEOUT:
        if gang := partial_gang(case.row, case.state):
            # The cluster has no room for all pods, which is not a failure of the run.
            return Diagnosis(Reason.UNSCHEDULABLE, f"{gang}: {found.sentence}", Consequence.BACKS_OFF)
        late = sorted(
            unstarted_pods(case.state, case.spec.limits, case.image),
            key=lambda blocker: blocker.reason is Reason.DEADLINE_EXCEEDED,
        )
        if late:
            sentence = f"{late[0].brief}: pod {found.pod} has given up waiting for it. {late[0].detail}".strip()
            # What blocks the pod may pass while there are retries left; then it is final.
            again = case.row.failures < case.spec.retries
            consequence = Consequence.RETRIED if again else late[0].consequence
            return _limit_over(case) or Diagnosis(late[0].reason, sentence, consequence)
    return diagnosis(found.reason, found.sentence)


def _preempted(state: AttemptState) -> Diagnosis:
    what = f"Job {state.name} was suspended by {suspended_by(state)} after its pods were there"
    pods = f"{len(state.pods)} of {state.planned_pods} pods are left"
    return diagnosis(Reason.PREEMPTED, with_remedy(Reason.PREEMPTED, what, pods))


def _ended_silently(state: AttemptState) -> bool:
    """Whether the job has ended though no pod runs or failed."""
    return state.job_ended and facts.all_exited(state) and not facts.all_exited_well(state)
