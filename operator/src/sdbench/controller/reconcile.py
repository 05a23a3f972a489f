"""Makes one pass: reads a Benchmark, decides, stores the status, and only then deletes and creates jobs.

    live GET ─► observe ─► Snapshot ─► decide ─► PUT status ─► DELETE jobs ─► GET again, POST job, for each ─► Events

A crash after any step is harmless: the next pass sees what was done and does what is missing. If somebody changes the
Benchmark meanwhile, the PUT fails, and the pass ends before it has done anything.
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
"""Delay until the next pass after a job was created or deleted, to see the effect."""

STILL_TRUE_SECONDS = 5.0
"""How long a reading of a Benchmark justifies the creation of a job. A process that was frozen longer reads again."""

PODS_ASKED = 4
"""At most this many pods of one Attempt have their Events read in one pass: their warnings are alike."""

CREATE_ERRORS = {Forbidden: CreateError.FORBIDDEN, Invalid: CreateError.INVALID, WebhookFailed: CreateError.UNANSWERED}
"""The API server's answers to a new job that are stored in the Trial's row."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pass:
    """What a pass found, and when the next one is due; `benchmark` is None if it is gone."""

    benchmark: Benchmark | None
    requeue_after: timedelta | None = None
    conflict: bool = False
    """The Benchmark was changed meanwhile, so not all of the Decision was carried out: requeue at once."""


async def reconcile(cluster: Cluster, defaults: Defaults, key: Key, concurrency: ConcurrencyGate) -> Pass:
    """Makes one pass over one Benchmark. Raises ApiError if it has to be repeated."""
    try:
        benchmark = await cluster.benchmark(key)
    except NotFound:
        return Pass(None)
    if benchmark.metadata.deletion_timestamp is not None:
        # The garbage collector deletes its jobs and pods by their owner references.
        return Pass(benchmark)
    states, others = await _attempts(cluster, benchmark, key), await _references(cluster, benchmark)
    snapshot = Snapshot(benchmark, states or (), defaults, cluster.now(), others, backend=states is not None)
    try:
        async with concurrency.turn(snapshot) as current:
            decision = decide(current)
            stored = await _store(cluster, benchmark, decision)
            concurrency.cache.put(stored)
    except (Conflict, NotFound):
        return Pass(benchmark, conflict=True)
    try:
        complete = await _carry_out(cluster, stored, decision, snapshot)
    except ApiError:
        await cluster.post_events(stored.metadata, decision.events)
        raise
    # Last, as nothing waits for an Event, and each takes a request.
    await cluster.post_events(stored.metadata, decision.events)
    if not complete:
        return Pass(stored, conflict=True)
    if decision.delete_self:
        log.info("%s/%s: deleting it, spec.ttlSecondsAfterFinished after its end", *key)
        if not await cluster.delete_benchmark(key, stored.metadata.uid):
            # It existed a moment ago, so "not found" may be a stale answer: check, or it would stay forever.
            return Pass(stored, conflict=True)
    return Pass(stored, _requeue_after(snapshot, decision))


def _requeue_after(snapshot: Snapshot, decision: Decision) -> timedelta | None:
    if decision.jobs_to_create or decision.jobs_to_delete:
        return SOON
    delays = [decision.requeue_after] if decision.requeue_after is not None else []
    if any(attempts.is_starting(state) for state in snapshot.attempts):
        # Events say what keeps its pods from starting, and Events are not watched.
        delays.append(attempts.STUCK_AFTER)
    return min(delays, default=None)


async def _attempts(cluster: Cluster, benchmark: Benchmark, key: Key) -> tuple[AttemptState, ...] | None:
    """The state of every Attempt, read live; None if the cluster does not serve PyTorchJobs."""
    # Jobs before pods: only then does an empty list of pods mean that no job can have created one.
    try:
        jobs = await cluster.jobs(key)
    except NotServed:
        return None
    pods = await cluster.pods(key)
    unlisted = [await cluster.job(key.namespace, name) for name in attempts.unconfirmed(benchmark, jobs, pods)]
    known = (*jobs, *(job for job in unlisted if job is not None))
    states = attempts.attempts(benchmark, known, pods)
    if outdated := attempts.possibly_outdated(benchmark, states):
        newer = [await cluster.job(key.namespace, name) for name in outdated]
        states = attempts.attempts(benchmark, attempts.with_newer(known, newer), pods)
    explained = []
    for state in states:
        # Events are read only of what is stuck: each object takes a request.
        if state.job_uid is not None and attempts.is_stuck(state, cluster.now()):
            waiting = [pod.uid for pod in state.pods if pod.started_at is None][:PODS_ASKED]
            events = await cluster.warnings(key.namespace, (state.job_uid, *waiting))
            warnings = tuple(one for about in events for one in attempts.warnings_about(about))
            state = replace(state, warnings_about=warnings)
        explained.append(state)
    return tuple(explained)


async def _references(cluster: Cluster, benchmark: Benchmark) -> tuple[Reference, ...]:
    """The Benchmarks that this one is compared with, as they are now."""
    found = []
    for name in awaited_references(benchmark):
        key = Key(benchmark.metadata.namespace, name)
        try:
            found.append(Reference(name, await cluster.benchmark(key)))
        except NotFound:
            found.append(Reference(name, absence=f"does not exist in namespace {key.namespace}"))
        except Unreadable:
            found.append(Reference(name, absence="cannot be read by this version of the operator"))
    return tuple(found)


async def _store(cluster: Cluster, benchmark: Benchmark, decision: Decision) -> Benchmark:
    """Stores the decided status, and returns the Benchmark with it. Raises Conflict and NotFound."""
    # Before it acts, the operator writes even an unchanged status. That changes nothing, but the API server refuses it
    # if the Benchmark was changed meanwhile: so a slow second operator never acts on an outdated reading.
    acts = decision.jobs_to_create or decision.jobs_to_delete or decision.delete_self
    if acts or decision.status.document() != benchmark.status.document():
        return await cluster.store(benchmark, decision.status)
    return benchmark.model_copy(update={"status": decision.status})


async def _carry_out(cluster: Cluster, benchmark: Benchmark, decision: Decision, snapshot: Snapshot) -> bool:
    """Deletes jobs, then creates jobs; returns False if the Benchmark was changed meanwhile. Raises ApiError."""
    namespace = benchmark.metadata.namespace
    for delete in decision.jobs_to_delete:
        log.info("%s/%s: stopping %s: %s %s", *key_of(benchmark), delete.name, delete.reason, delete.message)
        await cluster.delete_job(namespace, delete)
    refusal: ApiError | None = None
    for create in decision.jobs_to_create:
        try:
            if not await _create(cluster, benchmark, create):
                log.info("%s/%s was changed meanwhile, or may have been: %s waits", *key_of(benchmark), create.name)
                return False
        except (Forbidden, Invalid, WebhookFailed) as error:
            refusal = error
            benchmark = await _store_refusal(cluster, replace(snapshot, benchmark=benchmark), create, error)
    if refusal is not None:
        raise refusal
    return True


async def _create(cluster: Cluster, benchmark: Benchmark, create: CreateJob) -> bool:
    """Creates the Attempt's job, or finds that it exists. Returns False if the stored Benchmark is outdated."""
    key, job = key_of(benchmark), pytorchjob(benchmark, create)
    # After the PUT this process may be frozen while another operator creates this very job, stores its result and
    # deletes it. That leaves a trace, a new resourceVersion, because a result is stored before its job is deleted.
    asked = time.monotonic()
    try:
        metadata = (await cluster.benchmark(key)).metadata
    except NotFound:
        return False
    before = benchmark.metadata
    unchanged = (metadata.uid, metadata.resource_version) == (before.uid, before.resource_version)
    if not unchanged or time.monotonic() - asked > STILL_TRUE_SECONDS:
        return False
    try:
        await cluster.create_job(key.namespace, job)
        log.info("%s/%s: started %s", *key, create.name)
    except AlreadyExists:
        # Whose job it is, the next pass finds out.
        log.info("%s/%s: %s exists already", *key, create.name)
    return True


async def _store_refusal(cluster: Cluster, snapshot: Snapshot, create: CreateJob, error: ApiError) -> Benchmark:
    """Stores a refusal in the Trial's row and posts it as an Event, once for each sentence although it is retried."""
    status = with_create_error(snapshot, create.trial, CREATE_ERRORS[type(error)], str(error))
    if status == snapshot.benchmark.status:
        return snapshot.benchmark
    try:
        stored = await cluster.store(snapshot.benchmark, status)
    except (Conflict, NotFound):
        return snapshot.benchmark
    event = Event(warning=True, reason=JOB_REFUSED, message=status.trials[create.trial].message)
    await cluster.post_events(stored.metadata, (event,))
    return stored
