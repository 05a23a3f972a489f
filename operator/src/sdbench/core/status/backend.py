"""What is shown while the cluster does not know PyTorchJobs? That it waits for them; everything else stays as it was.

Nothing is known of any Attempt then, so no row is touched and no deadline is judged. Whatever is over and cleaned up
needs no PyTorchJobs, and is decided as ever.
"""

from sdbench.api.status import Reason
from sdbench.core.attempt.reasons import with_remedy
from sdbench.core.snapshot import Decision, Event, Snapshot
from sdbench.core.status.conditions import dated, unavailable_facts
from sdbench.core.trial.outcome import outcome
from sdbench.core.trial.row import unreleased


def backend_missing(snapshot: Snapshot) -> bool:
    """Whether the Benchmark cannot go on without PyTorchJobs, and there are none."""
    rows = snapshot.benchmark.status.trials
    return not snapshot.backend and (outcome(rows) is None or any(unreleased(row) for row in rows))


def backend_unavailable(snapshot: Snapshot) -> Decision:
    """The stored status with conditions that say so; it is looked at again with all others, from time to time."""
    stored, generation = snapshot.benchmark.status, snapshot.benchmark.metadata.generation
    said = with_remedy(Reason.BACKEND_UNAVAILABLE, "The cluster does not know PyTorchJobs")
    facts = unavailable_facts(stored.trials, outcome(stored.trials), said, snapshot)
    conditions = dated(facts, stored.conditions, generation, snapshot.now)
    status = stored.model_copy(update={"observed_generation": generation, "conditions": conditions})
    told = any(condition.reason == Reason.BACKEND_UNAVAILABLE for condition in stored.conditions)
    events = () if told else (Event(True, Reason.BACKEND_UNAVAILABLE, said),)
    return Decision(status, events=events)
