"""Makes one pass: read a Benchmark, decide, store the status, and only then delete and create jobs.

    live GET ─► observe ─► World ─► decide ─► PUT status ─► DELETE jobs ─► GET again, POST job, for each ─► Events

A crash after any step is harmless: the next pass sees what was done and does what is missing. A Benchmark that was
changed meanwhile makes the PUT fail, and the pass is dropped before it has done anything. After the PUT this operator
may be slow, or frozen, while another one goes on: so a job is created only if the Benchmark is still as it was stored.
"""

import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from sdbench.api.benchmark import Benchmark
from sdbench.controller.apiserver.cluster import Cluster, Key, key_of
from sdbench.controller.apiserver.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotServed,
    Unreadable,
    WebhookFailed,
)
from sdbench.controller.concurrency import ConcurrencyGate
from sdbench.controller.job.pytorchjob import pytorchjob
from sdbench.controller.observe import attempts
from sdbench.core.decide import decide
from sdbench.core.format import JOB_REFUSED
from sdbench.core.measure.references import awaited_references
from sdbench.core.snapshot import AttemptState, CreateJob, Decision, Defaults, Event, Reference, Snapshot
from sdbench.core.trial.create_errors import CreateError, with_create_error

SOON = timedelta(seconds=1)
"""After something was started or stopped: its effect is to be seen."""

STILL_TRUE_SECONDS = 5.0
"""How long what was read of a Benchmark is a reason to create a job. Whoever was frozen meanwhile has to look again."""

PODS_ASKED = 4
"""Most pods of one Attempt whose Events are read in one pass: they complain about the same."""

KINDS = {Forbidden: CreateError.FORBIDDEN, Invalid: CreateError.INVALID, WebhookFailed: CreateError.UNANSWERED}
"""The answers to a new job that its row tells."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pass:
    """What a pass found and when the next one is due; without a Benchmark it is gone."""

    benchmark: Benchmark | None
    requeue_after: timedelta | None = None
    overtaken: bool = False
    """The Benchmark was changed meanwhile, so that not everything was done that was decided: look again at once."""


async def reconcile(cluster: Cluster, defaults: Defaults, key: Key, neighbours: ConcurrencyGate) -> Pass:
    """One pass over one Benchmark. Raises ApiError; it is then to be tried again."""
    try:
        benchmark = await cluster.benchmark(key)
    except NotFound:
        return Pass(None)
    if benchmark.metadata.deletion_timestamp is not None:
        # Its jobs and pods go by their owner references.
        return Pass(benchmark)
    attempts, others = await _attempts(cluster, benchmark, key), await _references(cluster, benchmark)
    backend = attempts is not None
    snapshot = Snapshot(benchmark, attempts or (), defaults, cluster.now(), others, backend=backend)
    try:
        decision, shown = await _decided(cluster, snapshot, neighbours)
    except (Conflict, NotFound):
        return Pass(benchmark, overtaken=True)
    try:
        done = await _carry_out(cluster, shown, decision, snapshot)
    except ApiError:
        await cluster.tell(shown.metadata, decision.events)
        raise
    # Last, as nothing waits for an Event, and each may take its time.
    await cluster.tell(shown.metadata, decision.events)
    if not done:
        return Pass(shown, overtaken=True)
    if decision.delete_self:
        log.info("%s/%s: deleting it, spec.ttlSecondsAfterFinished after its end", *key)
        if not await cluster.delete_benchmark(key, shown.metadata.uid):
            # Said of what was there a moment ago: it is looked whether that is true, or it would stay for ever.
            return Pass(shown, overtaken=True)
    return Pass(shown, _next(snapshot, decision))


def _next(snapshot: Snapshot, decision: Decision) -> timedelta | None:
    """When to look again: what keeps pods from starting is said in Events, which are not watched."""
    if decision.jobs_to_create or decision.jobs_to_delete:
        return SOON
    wishes = [decision.requeue_after] if decision.requeue_after is not None else []
    if any(attempts.starting(state) for state in snapshot.attempts):
        wishes.append(attempts.PATIENCE)
    return min(wishes, default=None)


async def _attempts(cluster: Cluster, benchmark: Benchmark, key: Key) -> tuple[AttemptState, ...] | None:
    """What is known of every Attempt, read live; None where the cluster knows no PyTorchJobs, and so nothing of them.

    The jobs are read before the pods: only then does an empty list of pods mean that no job can have made one.
    """
    try:
        jobs = await cluster.jobs(key)
    except NotServed:
        return None
    pods = await cluster.pods(key)
    asked = [await cluster.job(key.namespace, name) for name in attempts.unconfirmed(benchmark, jobs, pods)]
    known = (*jobs, *(job for job in asked if job is not None))
    seen = attempts.attempts(benchmark, known, pods)
    if doubtful := attempts.doubtful(benchmark, seen):
        newer = [await cluster.job(key.namespace, name) for name in doubtful]
        seen = attempts.attempts(benchmark, attempts.read_again(known, newer), pods)
    return tuple([await _with_complaints(cluster, state, key) for state in seen])


async def _references(cluster: Cluster, benchmark: Benchmark) -> tuple[Reference, ...]:
    """The Benchmarks that this one is compared with, each as it is now."""
    namespace = benchmark.metadata.namespace
    return tuple([await _reference(cluster, Key(namespace, name)) for name in awaited_references(benchmark)])


async def _reference(cluster: Cluster, key: Key) -> Reference:
    try:
        return Reference(key.name, await cluster.benchmark(key))
    except NotFound:
        return Reference(key.name, absence=f"does not exist in namespace {key.namespace}")
    except Unreadable:
        return Reference(key.name, absence="cannot be read by this version of the operator")


async def _with_complaints(cluster: Cluster, state: AttemptState, key: Key) -> AttemptState:
    if state.job_uid is None or not attempts.stuck(state, cluster.now()):
        return state
    late = [pod.uid for pod in state.pods if pod.started_at is None][:PODS_ASKED]
    said = await cluster.warnings(key.namespace, (state.job_uid, *late))
    return replace(state, warnings_about=tuple(one for events in said for one in attempts.warnings_about(events)))


async def _decided(cluster: Cluster, snapshot: Snapshot, neighbours: ConcurrencyGate) -> tuple[Decision, Benchmark]:
    """What is decided, and the Benchmark once that is stored. Raises Conflict and NotFound."""
    async with neighbours.turn(snapshot) as present:
        decision = decide(present)
        shown = await _stored(cluster, snapshot.benchmark, decision)
        neighbours.board.put(shown)
    return decision, shown


async def _stored(cluster: Cluster, benchmark: Benchmark, decision: Decision) -> Benchmark:
    """The Benchmark with the decided status, which is written if it differs, and before anything is started or stopped.

    A status that is written as it was leaves no trace, but it is refused if this Benchmark was changed meanwhile: so
    a slow second operator never acts on what is no longer true.
    """
    acts = decision.jobs_to_create or decision.jobs_to_delete or decision.delete_self
    if acts or decision.status.document() != benchmark.status.document():
        return await cluster.store(benchmark, decision.status)
    return benchmark.model_copy(update={"status": decision.status})


async def _carry_out(cluster: Cluster, benchmark: Benchmark, decision: Decision, snapshot: Snapshot) -> bool:
    """Stop, then start; whether the Benchmark has stayed as it was stored for as long as that took."""
    namespace = benchmark.metadata.namespace
    for stop in decision.jobs_to_delete:
        log.info("%s/%s: stopping %s: %s %s", namespace, benchmark.metadata.name, stop.name, stop.reason, stop.message)
        await cluster.delete_job(namespace, stop)
    refusal: ApiError | None = None
    for start in decision.jobs_to_create:
        try:
            if not await _started(cluster, benchmark, start):
                log.info("%s/%s was changed meanwhile, or may have been: %s waits", *key_of(benchmark), start.name)
                return False
        except (Forbidden, Invalid, WebhookFailed) as error:
            refusal = error
            benchmark = await _with_refusal(cluster, replace(snapshot, benchmark=benchmark), start, error)
    if refusal is not None:
        raise refusal
    return True


async def _started(cluster: Cluster, benchmark: Benchmark, start: CreateJob) -> bool:
    """Whether the Attempt's job was created, or exists: it is judged when it is next seen. Not if this is outdated."""
    namespace, job = benchmark.metadata.namespace, pytorchjob(benchmark, start)
    asked = time.monotonic()
    if not await _as_stored(cluster, benchmark) or time.monotonic() - asked > STILL_TRUE_SECONDS:
        return False
    try:
        await cluster.create_job(namespace, job)
        log.info("%s/%s: started %s", namespace, benchmark.metadata.name, start.name)
    except AlreadyExists:
        log.info("%s/%s: %s exists already", namespace, benchmark.metadata.name, start.name)
    return True


async def _as_stored(cluster: Cluster, benchmark: Benchmark) -> bool:
    """Whether nobody has changed the Benchmark since.

    Another operator may have created this job, stored its result and deleted it. It cannot have done that without a
    trace: a result is stored before its job is deleted.
    """
    try:
        metadata = (await cluster.benchmark(key_of(benchmark))).metadata
    except NotFound:
        return False
    known = benchmark.metadata
    return (metadata.uid, metadata.resource_version) == (known.uid, known.resource_version)


async def _with_refusal(cluster: Cluster, snapshot: Snapshot, start: CreateJob, error: ApiError) -> Benchmark:
    """The Benchmark with the refusal in its row and among its Events, once for each sentence: it is tried again."""
    told = with_create_error(snapshot, start.trial, KINDS[type(error)], str(error))
    if told == snapshot.benchmark.status:
        return snapshot.benchmark
    try:
        shown = await cluster.store(snapshot.benchmark, told)
    except (Conflict, NotFound):
        return snapshot.benchmark
    sentence = told.trials[start.trial].message
    await cluster.tell(shown.metadata, (Event(warning=True, reason=JOB_REFUSED, message=sentence),))
    return shown
