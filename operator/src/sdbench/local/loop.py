"""Runs a Benchmark on this machine in a loop: observe, decide, store, act, wait.

observe ─► Snapshot ─► decide ─► store the status ─► start and stop launchers ─► wait a moment ─┐
   ▲                                                                                            │
   └────────────────────────────────────────────────────────────────────────────────────────────┘
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sdbench import __version__
from sdbench.api.benchmark import Benchmark
from sdbench.core.decide import decide
from sdbench.core.snapshot import Decision, Defaults, Reference, Snapshot
from sdbench.local.display import Display
from sdbench.local.interruption import Interruption
from sdbench.local.launcher_state import attempt_state
from sdbench.local.launchers import GRACE_SECONDS, ProcessPool
from sdbench.local.live_metrics import reading
from sdbench.local.preflight import read_in_place
from sdbench.local.progress import WindowProgress
from sdbench.local.results import Results

PASS_SECONDS = 0.5
DEFAULTS = Defaults(image="local", operator_version=__version__)
"""The status names `local` where a cluster's names the image."""


@dataclass(frozen=True)
class RunContext:
    """The surroundings of a run."""

    results: Results
    environment: Mapping[str, str]
    clock: Callable[[], datetime]
    display: Display
    interruption: Interruption
    references: tuple[Reference, ...] = ()
    """The Benchmarks that the spec names, as they were when the run began."""


def with_identity(benchmark: Benchmark, uid: str, now: datetime) -> Benchmark:
    """The Benchmark with a uid and a creation time, as an API server sets them; a stored one keeps its own."""
    if benchmark.metadata.creation_timestamp is not None:
        return benchmark
    metadata = benchmark.metadata.model_copy(update={"uid": uid, "creation_timestamp": now})
    return benchmark.model_copy(update={"metadata": metadata})


def run_locally(benchmark: Benchmark, context: RunContext) -> Benchmark:
    """Runs until the Benchmark ends or a signal interrupts it; no process is left."""
    pool = ProcessPool(context.results.folder, context.environment)
    interruption = context.interruption
    windows: dict[str, WindowProgress] = {}
    context.results.store(benchmark)
    try:
        while True:
            benchmark, decision = _pass(benchmark, pool, context)
            windows.update({job.name: WindowProgress(job) for job in decision.jobs_to_create})
            steps = {
                attempt.job.trial: windows[attempt.job.name].step(reading(attempt.metrics_port))
                for attempt in pool.attempts
                if attempt.alive and attempt.stopped_at is None
            }
            context.display.show(benchmark, steps)
            if not pool.attempts and (interruption.signal is not None or benchmark.status.end is not None):
                return benchmark
            interruption.wait(PASS_SECONDS)
            # A second signal does not wait for a clean end.
            pool.reap(0.0 if interruption.repeated else GRACE_SECONDS)
    finally:
        pool.close()


def _pass(benchmark: Benchmark, pool: ProcessPool, context: RunContext) -> tuple[Benchmark, Decision]:
    observed = benchmark
    if context.interruption.signal is not None:
        # An interruption is decided as a suspension, which voids the running Attempt, but it is not stored as one: a
        # resumed run goes on.
        spec = benchmark.spec.model_copy(update={"suspend": True})
        observed = benchmark.model_copy(update={"spec": spec})
    attempts = tuple(attempt_state(attempt) for attempt in pool.attempts)
    now = context.clock()
    decision = decide(Snapshot(observed, attempts, DEFAULTS, now, context.references))
    # The status is stored before anything starts or stops, so that a killed run knows of every Attempt.
    if decision.status != benchmark.status:
        benchmark = benchmark.model_copy(update={"status": decision.status})
        context.results.store(benchmark)
    # Only the launcher reads in place: the stored spec keeps the address of its shards.
    for job in decision.jobs_to_create:
        source = read_in_place(job.run.source)
        pool.start(replace(job, run=job.run.model_copy(update={"source": source})), now)
    for stop in decision.jobs_to_delete:
        pool.stop(stop.name)
    return benchmark, decision


def steady_clock() -> Callable[[], datetime]:
    """A clock that never jumps: the time of day, read once and advanced by the monotonic clock."""
    # Durations in the status are differences of its times, and the time of day may be set while a run lasts.
    day, start = datetime.now(UTC), time.monotonic()
    return lambda: day + timedelta(seconds=time.monotonic() - start)
