"""How many Trials of other Benchmarks keep the next one of this Benchmark waiting?

Those that hold devices, or may; and one for each Benchmark that was created earlier and waits for its turn as well, so
that the oldest goes first.
"""

from collections.abc import Iterable

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import ConditionType
from sdbench.core.status.conditions import OTHERS_FIRST
from sdbench.core.trial.row import LIVE, unreleased


def others_running(of: Benchmark, known: Iterable[Benchmark]) -> int:
    """The count, from what is stored of all Benchmarks, this one among them or not."""
    others = [other for other in known if other.metadata.uid != of.metadata.uid]
    running = sum(row.phase in LIVE or unreleased(row) for other in others for row in other.status.trials)
    return running + sum(_waits(other) and _age(other) < _age(of) for other in others)


def _waits(benchmark: Benchmark) -> bool:
    wanted = benchmark.metadata.deletion_timestamp is None and not (benchmark.spec.suspend or benchmark.spec.cancel)
    said = benchmark.status.conditions
    return wanted and any(one.type is ConditionType.RUNNING and one.reason == OTHERS_FIRST for one in said)


def _age(benchmark: Benchmark) -> tuple[bool, str, str]:
    """In the order of creation; the UID where two were created in the same second."""
    created = benchmark.metadata.creation_timestamp
    return created is None, created.isoformat() if created is not None else "", benchmark.metadata.uid
