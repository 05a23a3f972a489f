"""Answers a question on this machine: observe, decide, store, act, repeat.

    observe ─► World ─► decide ─► store the status ─► start and stop launchers ─► wait a moment ─┐
       ▲                                                                                         │
       └─────────────────────────────────────────────────────────────────────────────────────────┘

An interruption is a suspension: the same decisions void the running Attempt, and a resumed run starts it anew.
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
from sdbench.local.launchers import ProcessPool
from sdbench.local.live_metrics import reading
from sdbench.local.preflight import read_in_place
from sdbench.local.progress import Step, WindowProgress
from sdbench.local.results import Results

LOOK_SECONDS = 0.5
DEFAULTS = Defaults(image="local", operator_version=__version__)
"""Where there is no image, `local` stands for it in the status."""


@dataclass(frozen=True)
class RunContext:
    """What a run has beside its question."""

    results: Results
    environment: Mapping[str, str]
    clock: Callable[[], datetime]
    watch: Display
    interruption: Interruption
    references: tuple[Reference, ...] = ()
    """The Benchmarks that the question names, as they were when the run began."""


def begun(asked: Benchmark, uid: str, now: datetime) -> Benchmark:
    """The question as an API server would have accepted it; a stored one keeps what it got."""
    if asked.metadata.creation_timestamp is not None:
        return asked
    metadata = asked.metadata.model_copy(update={"uid": uid, "creation_timestamp": now})
    return asked.model_copy(update={"metadata": metadata})


def run_locally(benchmark: Benchmark, around: RunContext) -> Benchmark:
    """Carry the question out until it is answered, cannot be, or a signal asks to stop. No process is left."""
    workshop = ProcessPool(around.results.folder, around.environment)
    windows: dict[str, WindowProgress] = {}
    around.results.store(benchmark)
    try:
        while True:
            benchmark, decision = _pass(benchmark, workshop, around)
            windows.update({start.name: WindowProgress(start) for start in decision.jobs_to_create})
            around.watch.show(benchmark, _steps(workshop, windows))
            if _over(benchmark, workshop, around.interruption):
                return benchmark
            around.interruption.wait(LOOK_SECONDS)
            workshop.sweep(**({"patience": 0.0} if around.interruption.repeated else {}))
    finally:
        workshop.close()


def _pass(benchmark: Benchmark, workshop: ProcessPool, around: RunContext) -> tuple[Benchmark, Decision]:
    """One look: the status is stored before anything is started or stopped."""
    asked = benchmark if around.interruption.signal is None else _suspended(benchmark)
    attempts = tuple(attempt_state(launcher) for launcher in workshop.launchers)
    now = around.clock()
    decision = decide(Snapshot(asked, attempts, DEFAULTS, now, around.references))
    if decision.status != benchmark.status:
        benchmark = benchmark.model_copy(update={"status": decision.status})
        around.results.store(benchmark)
    for start in decision.jobs_to_create:
        source = read_in_place(start.run.source)
        workshop.begin(replace(start, run=start.run.model_copy(update={"source": source})), now)
    for stop in decision.jobs_to_delete:
        workshop.stop(stop.name)
    return benchmark, decision


def _suspended(benchmark: Benchmark) -> Benchmark:
    spec = benchmark.spec.model_copy(update={"suspend": True})
    return benchmark.model_copy(update={"spec": spec})


def _steps(workshop: ProcessPool, windows: Mapping[str, WindowProgress]) -> dict[int, Step]:
    """How far the running Trials are, by their index."""
    return {
        launcher.start.trial: windows[launcher.start.name].step(reading(launcher.metrics_port))
        for launcher in workshop.launchers
        if launcher.alive and launcher.stop_asked is None
    }


def _over(benchmark: Benchmark, workshop: ProcessPool, interruption: Interruption) -> bool:
    """Whether nothing runs and nothing more will."""
    if workshop.launchers:
        return False
    return interruption.signal is not None or benchmark.status.end is not None


def steady_clock() -> Callable[[], datetime]:
    """The time of day that never jumps: read once, and carried on by the monotonic clock."""
    day, began = datetime.now(UTC), time.monotonic()
    return lambda: day + timedelta(seconds=time.monotonic() - began)
