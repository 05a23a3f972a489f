"""Turns jobs, pods and Events into AttemptStates: pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.benchmark import Benchmark
from sdbench.api.names import ATTEMPT_LABEL, BENCHMARK_LABEL, BENCHMARK_UID_LABEL, KIND, TRIAL_LABEL, attempt_name
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.controller.apiserver.client import Document
from sdbench.controller.job.scheduling import QUEUE_LABEL
from sdbench.controller.observe.pods import label, parsed_time, pod_state
from sdbench.core.attempt.facts import pod_failed, unsuspended_since
from sdbench.core.snapshot import AttemptState, PodState, WarningEvent
from sdbench.core.trial.row import LIVE, may_hold_devices

STUCK_AFTER = timedelta(seconds=8)
"""An Attempt that is not suspended and has not started for so long is stuck, and its Events are read."""


@dataclass(frozen=True)
class Identity:
    """The Attempt that an object belongs to, by its labels."""

    name: str
    trial: int
    attempt: int


def identity(document: Document) -> Identity | None:
    """The Attempt that the labels name, or None."""
    trial, attempt = label(document, TRIAL_LABEL), label(document, ATTEMPT_LABEL)
    if not (trial.isdigit() and attempt.isdigit()):
        return None
    benchmark, uid = label(document, BENCHMARK_LABEL), label(document, BENCHMARK_UID_LABEL)
    return Identity(attempt_name(benchmark, uid, int(trial), int(attempt)), int(trial), int(attempt))


def is_job_of(job: Document, benchmark: Benchmark, name: str) -> bool:
    """Whether the job is the one of this Attempt, and does not only have its name."""
    found = identity(job)
    # By the UID: another Benchmark may have had the same name.
    owned = _controller(job).get("uid") == benchmark.metadata.uid
    return owned and found is not None and found.name == name == job["metadata"]["name"]


def unconfirmed(benchmark: Benchmark, jobs: Iterable[Document], pods: Iterable[Document]) -> tuple[str, ...]:
    """Names of jobs that were not listed but may exist, to be read one by one."""
    # A job may be younger than the list of jobs, or another owner's without our labels, or missing from an outdated
    # list. Devices are not called free because a list does not show who holds them.
    listed = {job["metadata"]["name"] for job in jobs}
    held = (row.job for row in benchmark.status.trials if row.job is not None and may_hold_devices(row))
    wanted = (*held, *(owner.name for owner in _by_attempt(pods)))
    return tuple(dict.fromkeys(name for name in wanted if name not in listed))


def possibly_outdated(benchmark: Benchmark, states: Iterable[AttemptState]) -> tuple[str, ...]:
    """Names of live jobs whose pods contradict the reading of the job, to be read again."""
    rows = {row.job: row for row in benchmark.status.trials if row.phase in LIVE}
    return tuple(
        state.name
        for state in states
        if state.job_uid is not None and state.name in rows and _contradicted(state, rows[state.name])
    )


def _contradicted(state: AttemptState, row: TrialRow) -> bool:
    """Whether pods were deleted or created though the job, which was read before them, does not say why."""
    # A suspension is written into the job first, and then its pods are deleted; when it ends, pods are created.
    if state.foreign or state.deleting or state.job_ended:
        return False
    if state.suspended:
        return any(not pod.deleting for pod in state.pods)
    going = any(pod.deleting or pod_failed(pod) for pod in state.pods)
    return going or (row.pods_checksum is not None and len(state.pods) < state.planned_pods)


def with_newer(jobs: Iterable[Document], newer: Iterable[Document | None]) -> tuple[Document, ...]:
    """The jobs, each replaced by its newer reading; one that is gone by now stays, as it may have created pods."""
    by_uid = {job["metadata"]["uid"]: job for job in newer if job is not None}
    return tuple(by_uid.get(job["metadata"]["uid"], job) for job in jobs)


def attempts(benchmark: Benchmark, jobs: Iterable[Document], pods: Iterable[Document]) -> tuple[AttemptState, ...]:
    """The Attempts of all Benchmarks of this name: those of a deleted one hold devices, too."""
    pods_of = _by_attempt(pods)
    by_name = {job["metadata"]["name"]: job for job in jobs}
    found: dict[str, AttemptState] = {}
    for name, job in by_name.items():
        owner = identity(job)
        if owner is not None and owner.name == name and _owned_by_name(job, benchmark):
            found[name] = _state_of_job(owner, job, _pod_states(pods_of.get(owner, ())))
    for owner, left in pods_of.items():
        if owner.name not in found:
            # The job is gone while pods are left. How many it planned is known only from the highest index.
            created = min(parsed_time(pod["metadata"]["creationTimestamp"]) for pod in left)
            pods_left = _pod_states(left)
            planned = max(pod.index for pod in pods_left) + 1
            found[owner.name] = AttemptState(
                owner.name, owner.trial, owner.attempt, None, created, planned, pods=pods_left
            )
    for row in benchmark.status.trials:
        # Another owner's object has the name of a job that may be created.
        may_be_created = row.phase is TrialPhase.STARTING and row.job_uid is None and row.job in by_name
        if may_be_created and row.job is not None and not is_job_of(by_name[row.job], benchmark, row.job):
            metadata = by_name[row.job]["metadata"]
            created = parsed_time(metadata["creationTimestamp"])
            found[row.job] = AttemptState(
                row.job, row.trial, row.attempt, metadata["uid"], created, planned_pods=0, foreign=True
            )
    return tuple(sorted(found.values(), key=lambda state: (state.trial, state.attempt, state.name)))


def is_starting(state: AttemptState) -> bool:
    """Whether not all of an Attempt's pods have run yet, though its job is not suspended."""
    if state.job_uid is None or state.foreign or state.job_ended or state.deleting or state.suspended:
        return False
    return len(state.pods) < state.planned_pods or any(pod.started_at is None for pod in state.pods)


def is_stuck(state: AttemptState, now: datetime) -> bool:
    """Whether an Attempt should have started by now; then its Events may say why it has not."""
    return is_starting(state) and now - unsuspended_since(state) >= STUCK_AFTER


def warnings_about(events: Iterable[Document]) -> tuple[WarningEvent, ...]:
    """The contents of warning Events, each once, the newest first."""
    newest_first = sorted(events, key=lambda event: str(event.get("lastTimestamp") or ""), reverse=True)
    latest: dict[tuple[str, str, str], WarningEvent] = {}
    for event in newest_first:
        about, reason = str(event["involvedObject"].get("name", "")), str(event.get("reason", ""))
        message = str(event.get("message") or "")
        # A repetition updates the Event, which keeps the time of its creation.
        created = event.get("metadata", {}).get("creationTimestamp")
        warning = WarningEvent(about, reason, message, parsed_time(created) if created else None)
        latest.setdefault((about, reason, message), warning)
    return tuple(latest.values())


def _by_attempt(pods: Iterable[Document]) -> Mapping[Identity, list[Document]]:
    grouped: dict[Identity, list[Document]] = {}
    for pod in pods:
        owner = identity(pod)
        if owner is not None:
            grouped.setdefault(owner, []).append(pod)
    return grouped


def _controller(job: Document) -> Document:
    """The owner reference of the job's controller, of which the API server allows one; empty without any."""
    return next((one for one in job["metadata"].get("ownerReferences") or () if one.get("controller")), {})


def _owned_by_name(job: Document, benchmark: Benchmark) -> bool:
    """Whether a Benchmark of this name, and of the UID in the job's label, owns the job."""
    owner, uid = _controller(job), label(job, BENCHMARK_UID_LABEL)
    return (owner.get("kind"), owner.get("name"), owner.get("uid")) == (KIND, benchmark.metadata.name, uid)


def _state_of_job(owner: Identity, job: Document, pods: tuple[PodState, ...]) -> AttemptState:
    metadata = job["metadata"]
    replicas = job["spec"]["pytorchReplicaSpecs"].values()
    conditions = (job.get("status") or {}).get("conditions") or ()
    ends = [one for one in conditions if one["type"] in ("Succeeded", "Failed") and one["status"] == "True"]
    suspended: Document = next((one for one in conditions if one["type"] == "Suspended"), {})
    return AttemptState(
        name=owner.name,
        trial=owner.trial,
        attempt=owner.attempt,
        job_uid=metadata["uid"],
        created_at=parsed_time(metadata["creationTimestamp"]),
        planned_pods=sum(replica.get("replicas", 1) for replica in replicas),
        job_ended=bool(ends),
        ended_at=min(map(parsed_time, filter(None, (end.get("lastTransitionTime") for end in ends))), default=None),
        deleting="deletionTimestamp" in metadata,
        # By the spec: the condition lags behind, also when pods are created again.
        suspended=not ends and bool((job["spec"].get("runPolicy") or {}).get("suspend")),
        queue=label(job, QUEUE_LABEL),
        suspension_at=parsed_time(suspended["lastTransitionTime"]) if "lastTransitionTime" in suspended else None,
        said=next((str(end["message"]) for end in ends if end.get("message")), ""),
        pods=pods,
    )


def _pod_states(pods: Iterable[Document]) -> tuple[PodState, ...]:
    return tuple(sorted(map(pod_state, pods), key=lambda pod: (pod.index, pod.uid)))
