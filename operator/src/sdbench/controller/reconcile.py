"""What is one pass? Look at one Benchmark, decide, store the status, and only then start and stop.

    live GET ─► observe ─► World ─► decide ─► PUT status ─► POST and DELETE jobs, Events

A crash after any step is harmless: the next pass sees what was done and does what is missing. A Benchmark that was
changed meanwhile makes the PUT fail, and the pass is dropped before it has done anything.
"""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import ValidationError

from sdbench.api.benchmark import Benchmark
from sdbench.controller import observe
from sdbench.controller.cluster import Cluster, Key
from sdbench.controller.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from sdbench.controller.neighbours import Neighbours
from sdbench.controller.pytorchjob import pytorchjob
from sdbench.core.decide import decide
from sdbench.core.references import awaited
from sdbench.core.world import AttemptState, Complaint, Decision, Defaults, Notice, Reference, Start, World

SOON = timedelta(seconds=1)
"""After something was started or stopped: its effect is to be seen."""

AT_ONCE = timedelta(milliseconds=50)
PODS_ASKED = 4
"""Most pods of one Attempt whose Events are read in one pass: they complain about the same."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pass:
    """What a pass found and when the next one is due; without a Benchmark it is gone."""

    benchmark: Benchmark | None
    look_again: timedelta | None = None


async def reconcile(cluster: Cluster, defaults: Defaults, key: Key, neighbours: Neighbours) -> Pass:
    """One pass over one Benchmark. Raises ApiError; it is then to be tried again."""
    try:
        benchmark = await cluster.benchmark(key)
    except NotFound:
        return Pass(None)
    if benchmark.metadata.deletion_timestamp is not None:
        # Its jobs and pods go by their owner references.
        return Pass(benchmark)
    attempts, others = await _attempts(cluster, benchmark, key), await _references(cluster, benchmark)
    world = World(benchmark, attempts, defaults, cluster.now(), others)
    try:
        decision, shown = await _decided(cluster, world, neighbours)
    except (Conflict, NotFound):
        return Pass(benchmark, AT_ONCE)
    await cluster.tell(shown, decision.notices)
    await _carry_out(cluster, shown, decision)
    if decision.expired:
        log.info("%s/%s: deleting it, spec.ttlSecondsAfterFinished after its end", *key)
        await cluster.delete_benchmark(key, shown.metadata.uid)
    return Pass(shown, _next(world, decision))


def _next(world: World, decision: Decision) -> timedelta | None:
    """When to look again: what keeps pods from starting is said in Events, which are not watched."""
    if decision.starts or decision.stops:
        return SOON
    wishes = [decision.look_again] if decision.look_again is not None else []
    if any(observe.starting(state) for state in world.attempts):
        wishes.append(observe.PATIENCE)
    return min(wishes, default=None)


async def _attempts(cluster: Cluster, benchmark: Benchmark, key: Key) -> tuple[AttemptState, ...]:
    """What is known of every Attempt, read live.

    The jobs are read before the pods: only then does an empty list of pods mean that no job can have made one.
    """
    jobs = await cluster.jobs(key)
    pods = await cluster.pods(key)
    asked = [await cluster.job(key.namespace, name) for name in observe.unconfirmed(benchmark, jobs, pods)]
    known = (*jobs, *(job for job in asked if job is not None))
    seen = observe.attempts(benchmark, known, pods)
    if doubtful := observe.doubtful(benchmark, seen):
        newer = [await cluster.job(key.namespace, name) for name in doubtful]
        seen = observe.attempts(benchmark, observe.read_again(known, newer), pods)
    return tuple([await _with_complaints(cluster, state, key) for state in seen])


async def _references(cluster: Cluster, benchmark: Benchmark) -> tuple[Reference, ...]:
    """The Benchmarks that this one is compared with, each as it is now."""
    namespace = benchmark.metadata.namespace
    return tuple([await _reference(cluster, Key(namespace, name)) for name in awaited(benchmark)])


async def _reference(cluster: Cluster, key: Key) -> Reference:
    try:
        return Reference(key.name, await cluster.benchmark(key))
    except NotFound:
        return Reference(key.name, absence=f"does not exist in namespace {key.namespace}")
    except ValidationError:
        return Reference(key.name, absence="cannot be read by this version of the operator")


async def _with_complaints(cluster: Cluster, state: AttemptState, key: Key) -> AttemptState:
    if state.job_uid is None or not observe.stuck(state, cluster.now()):
        return state
    late = [pod.uid for pod in state.pods if pod.started_at is None][:PODS_ASKED]
    said: list[Complaint] = []
    for uid in (state.job_uid, *late):
        said.extend(observe.complaints(await cluster.warnings(key.namespace, uid)))
    return replace(state, complaints=tuple(said))


async def _decided(cluster: Cluster, world: World, neighbours: Neighbours) -> tuple[Decision, Benchmark]:
    """What is decided, and the Benchmark once that is stored. Raises Conflict and NotFound."""
    async with neighbours.turn(world) as present:
        decision = decide(present)
        shown = await _stored(cluster, world.benchmark, decision)
        neighbours.board.put(shown)
    return decision, shown


async def _stored(cluster: Cluster, benchmark: Benchmark, decision: Decision) -> Benchmark:
    """The Benchmark with the decided status, which is written if it differs, and before anything is started or stopped.

    A status that is written as it was leaves no trace, but it is refused if this Benchmark was changed meanwhile: so
    a slow second operator never acts on what is no longer true.
    """
    acts = decision.starts or decision.stops or decision.expired
    if acts or decision.status.document() != benchmark.status.document():
        await cluster.store(benchmark, decision.status)
    return benchmark.model_copy(update={"status": decision.status})


async def _carry_out(cluster: Cluster, benchmark: Benchmark, decision: Decision) -> None:
    namespace = benchmark.metadata.namespace
    for stop in decision.stops:
        log.info("%s/%s: stopping %s: %s %s", namespace, benchmark.metadata.name, stop.name, stop.reason, stop.message)
        await cluster.delete_job(namespace, stop)
    for start in decision.starts:
        await _start(cluster, benchmark, start)


async def _start(cluster: Cluster, benchmark: Benchmark, start: Start) -> None:
    """Create the Attempt's job; one that exists is judged when it is next seen."""
    namespace = benchmark.metadata.namespace
    try:
        await cluster.create_job(namespace, pytorchjob(benchmark, start))
        log.info("%s/%s: started %s", namespace, benchmark.metadata.name, start.name)
    except AlreadyExists:
        log.info("%s/%s: %s exists already", namespace, benchmark.metadata.name, start.name)
    except (Forbidden, Invalid) as error:
        refusal = Notice(warning=True, reason="JobRefused", message=f"The cluster refuses {start.name}: {error}")
        await cluster.tell(benchmark, (refusal,))
        raise
