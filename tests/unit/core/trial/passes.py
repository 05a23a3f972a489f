"""Takes a Benchmark through the first passes of its first Trial, for tests that go on from there."""

from sdbench.api.spec import Spec
from sdbench.core.decide import decide
from sdbench.core.snapshot import AttemptState, Decision, Snapshot
from unit.core.worlds import after, attempt, benchmark, exited, failure, pod, snapshot

ONE = {"counts": [1], "perPod": 1}
NAME = "tiny-0a1b2-0-1"


def running(asked: Spec, seconds: float = 10) -> tuple[Decision, Snapshot]:
    """The pass that sees the first Trial run, and its Snapshot."""
    at = snapshot(benchmark(asked))
    at = after(decide(at), at, attempt(pod()), seconds=seconds)
    made = decide(at)
    return made, at


def broken(code: int, number: int = 1, trial: int = 0) -> AttemptState:
    name = attempt(trial=trial, number=number).name
    return attempt(exited(0, code, of=failure(name, code, "it broke")), trial=trial, number=number, job_ended=True)


def torn_down(made: Decision, at: Snapshot, state: AttemptState) -> tuple[Decision, Snapshot]:
    """The pass after the Attempt's end was stored and its job was deleted, and its Snapshot."""
    at = after(made, at, state)
    made = decide(at)
    assert [stop.name for stop in made.jobs_to_delete] == [state.name]
    at = after(made, at, seconds=1)
    return decide(at), at


def ended(asked: Spec, code: int) -> tuple[Decision, Snapshot]:
    """The pass after the first Trial's Attempt failed and was torn down, and its Snapshot."""
    made, at = running(asked)
    at = after(made, at, broken(code), seconds=5)
    return torn_down(decide(at), at, broken(code))


def phases(made: Decision) -> list[str]:
    return [f"{row.phase}:{row.reason or ''}" for row in made.status.trials]
