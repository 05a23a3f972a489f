"""Turns jobs, pods and Events into AttemptStates: pure functions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdbench.api.benchmark import Benchmark
from sdbench.api.names import (
    ATTEMPT_LABEL,
    BENCHMARK_LABEL,
    BENCHMARK_UID_LABEL,
    KIND,
    TRIAL_LABEL,
    attempt_name,
)
from sdbench.api.status import TrialPhase, TrialRow
from sdbench.controller.apiserver.client import Document
from sdbench.controller.observe.pods import label, parsed_time, pod_state
from sdbench.core.attempt.facts import pod_failed, unsuspended_since
from sdbench.core.snapshot import AttemptState, PodState, WarningEvent
from sdbench.core.trial.row import LIVE, may_hold_devices

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

PATIENCE = timedelta(seconds=8)
"""After it, an Attempt that nobody holds and that has not started is stuck: its Events are read."""


@dataclass(frozen=True)
class Identity:
    """Whose Attempt an object belongs to, as its labels say."""

    name: str
    trial: int
    attempt: int


def identity(document: Document) -> Identity | None:
    """Which Attempt the labels name; None when they name none."""
    trial, attempt = label(document, TRIAL_LABEL), label(document, ATTEMPT_LABEL)
    if not (trial.isdigit() and attempt.isdigit()):
        return None
    benchmark, uid = label(document, BENCHMARK_LABEL), label(document, BENCHMARK_UID_LABEL)
    return Identity(attempt_name(benchmark, uid, int(trial), int(attempt)), int(trial), int(attempt))


def controlled_by(job: Document, benchmark: Benchmark) -> bool:
    """Whether this Benchmark, not a namesake, made the job."""
    return any(owner.get("controller") and owner["uid"] == benchmark.metadata.uid for owner in _owners(job))


def is_job_of(job: Document, benchmark: Benchmark, name: str) -> bool:
    """Whether a job that has an Attempt's name is that Attempt's."""
    found = identity(job)
    return found is not None and found.name == name == job["metadata"]["name"] and controlled_by(job, benchmark)


def unconfirmed(benchmark: Benchmark, jobs: Iterable[Document], pods: Iterable[Document]) -> tuple[str, ...]:
    """Names of jobs to be asked for one by one: they were not listed, yet may exist.

    Either the job was made after the jobs and before the pods were listed, or it is a stranger's without our labels,
    or the list is older than what is known: nobody's devices are called free because a list does not tell of them.
    """
    listed = {job["metadata"]["name"] for job in jobs}
    held = (row.job for row in benchmark.status.trials if row.job is not None and may_hold_devices(row))
    wanted = (*held, *(who.name for who in _grouped(pods)))
    return tuple(dict.fromkeys(name for name in wanted if name not in listed))


def doubtful(benchmark: Benchmark, states: Iterable[AttemptState]) -> tuple[str, ...]:
    """Names of wanted jobs to be read again after the pods, which do not fit what the older reading says.

    A suspension is written into the job first, and then its pods are deleted; when it is let go, pods are made. So if
    pods of a job go, or are there though it is suspended, a reading after them tells whether the suspension did it.
    """
    rows = {row.job: row for row in benchmark.status.trials if row.phase in LIVE}
    return tuple(s.name for s in states if s.job_uid is not None and s.name in rows and _unlike(s, rows[s.name]))


def _unlike(state: AttemptState, row: TrialRow) -> bool:
    if state.foreign or state.deleting or state.job_ended:
        return False
    if state.suspended:
        return any(not pod.deleting for pod in state.pods)
    going = any(pod.deleting or pod_failed(pod) for pod in state.pods)
    return going or (row.pods_checksum is not None and len(state.pods) < state.planned_pods)


def read_again(jobs: Iterable[Document], newer: Iterable[Document | None]) -> tuple[Document, ...]:
    """The jobs with those of the same UID in their newer reading; one that is gone by now may have made pods."""
    by_uid = {job["metadata"]["uid"]: job for job in newer if job is not None}
    return tuple(by_uid.get(job["metadata"]["uid"], job) for job in jobs)


def attempts(benchmark: Benchmark, jobs: Iterable[Document], pods: Iterable[Document]) -> tuple[AttemptState, ...]:
    """The Attempts of all Benchmarks of this name: those of a deleted namesake hold devices, too."""
    pods_of = _grouped(pods)
    documents = {job["metadata"]["name"]: job for job in jobs}
    found: dict[str, AttemptState] = {}
    for name, job in documents.items():
        who = identity(job)
        if who is not None and who.name == name and _made_by_a_namesake(job, benchmark):
            found[name] = _of_job(who, job, _states(pods_of.get(who, ())))
    for who, left in pods_of.items():
        if who.name not in found:
            found[who.name] = _of_pods(who, left)
    for name, trial, attempt in _expected(benchmark):
        if name in documents and not is_job_of(documents[name], benchmark, name):
            found[name] = _foreign(name, trial, attempt, documents[name])
    return tuple(sorted(found.values(), key=lambda state: (state.trial, state.attempt, state.name)))


def starting(state: AttemptState) -> bool:
    """Whether not all of an Attempt's pods have run yet, though nobody holds the job."""
    if state.job_uid is None or state.foreign or state.job_ended or state.deleting or state.suspended:
        return False
    return len(state.pods) < state.planned_pods or any(pod.started_at is None for pod in state.pods)


def stuck(state: AttemptState, now: datetime) -> bool:
    """Whether an Attempt should have started by now: then its Events may say why it has not."""
    return starting(state) and now - unsuspended_since(state) >= PATIENCE


def warnings_about(events: Iterable[Document]) -> tuple[WarningEvent, ...]:
    """What warning Events say, each thing once, the newest first."""
    newest_first = sorted(events, key=lambda event: str(event.get("lastTimestamp") or ""), reverse=True)
    latest: dict[tuple[str, str, str], WarningEvent] = {}
    for said in map(_complaint, newest_first):
        latest.setdefault((said.about, said.reason, said.message), said)
    return tuple(latest.values())


def _complaint(event: Document) -> WarningEvent:
    """A repetition changes the Event, which keeps the moment of its creation."""
    about, created = str(event["involvedObject"].get("name", "")), event.get("metadata", {}).get("creationTimestamp")
    return WarningEvent(about, str(event.get("reason", "")), _message(event), parsed_time(created) if created else None)


def _expected(benchmark: Benchmark) -> Iterator[tuple[str, int, int]]:
    """Name, trial and attempt of each row whose job may be created."""
    for row in benchmark.status.trials:
        if row.phase is TrialPhase.STARTING and row.job_uid is None and row.job is not None:
            yield row.job, row.trial, row.attempt


def _foreign(name: str, trial: int, attempt: int, job: Document) -> AttemptState:
    """An object of another owner that has an Attempt's name."""
    metadata = job["metadata"]
    return AttemptState(
        name, trial, attempt, metadata["uid"], parsed_time(metadata["creationTimestamp"]), 0, foreign=True
    )


def _message(event: Document) -> str:
    return str(event.get("message") or "")


def _grouped(pods: Iterable[Document]) -> Mapping[Identity, list[Document]]:
    grouped: dict[Identity, list[Document]] = {}
    for pod in pods:
        who = identity(pod)
        if who is not None:
            grouped.setdefault(who, []).append(pod)
    return grouped


def _owners(document: Document) -> Iterable[Document]:
    owners: Iterable[Document] = document["metadata"].get("ownerReferences") or ()
    return owners


def _made_by_a_namesake(job: Document, benchmark: Benchmark) -> bool:
    """Whether a Benchmark of this name and of the UID in the label controls the job."""
    uid = label(job, BENCHMARK_UID_LABEL)
    return any(
        owner.get("controller")
        and owner.get("kind") == KIND
        and (owner.get("name"), owner["uid"]) == (benchmark.metadata.name, uid)
        for owner in _owners(job)
    )


def _of_job(who: Identity, job: Document, pods: tuple[PodState, ...]) -> AttemptState:
    """Whether it is suspended, its spec says: the condition lags behind, also when pods are made again."""
    metadata = job["metadata"]
    replicas = job["spec"]["pytorchReplicaSpecs"].values()
    ends, suspended = _ends(job), _condition(job, "Suspended")
    return AttemptState(
        name=who.name,
        trial=who.trial,
        attempt=who.attempt,
        job_uid=metadata["uid"],
        created_at=parsed_time(metadata["creationTimestamp"]),
        planned_pods=sum(replica.get("replicas", 1) for replica in replicas),
        job_ended=bool(ends),
        ended_at=min(map(parsed_time, filter(None, (end.get("lastTransitionTime") for end in ends))), default=None),
        deleting="deletionTimestamp" in metadata,
        suspended=not ends and bool((job["spec"].get("runPolicy") or {}).get("suspend")),
        queue=label(job, QUEUE_LABEL),
        suspension_at=parsed_time(suspended["lastTransitionTime"]) if "lastTransitionTime" in suspended else None,
        said=next((str(end["message"]) for end in ends if end.get("message")), ""),
        pods=pods,
    )


def _conditions(job: Document) -> Iterable[Document]:
    found: Iterable[Document] = (job.get("status") or {}).get("conditions") or ()
    return found


def _condition(job: Document, kind: str) -> Document:
    return next((one for one in _conditions(job) if one["type"] == kind), {})


def _ends(job: Document) -> list[Document]:
    """The conditions that say that the job is over."""
    return [c for c in _conditions(job) if c["type"] in ("Succeeded", "Failed") and c["status"] == "True"]


def _of_pods(who: Identity, documents: Iterable[Document]) -> AttemptState:
    """Of a job that is gone while pods are left."""
    created = min(parsed_time(document["metadata"]["creationTimestamp"]) for document in documents)
    pods = _states(documents)
    planned = max(pod.index for pod in pods) + 1
    return AttemptState(who.name, who.trial, who.attempt, None, created, planned, pods=pods)


def _states(pods: Iterable[Document]) -> tuple[PodState, ...]:
    return tuple(sorted(map(pod_state, pods), key=lambda pod: (pod.index, pod.uid)))
