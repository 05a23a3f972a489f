"""What was last read of every Benchmark? The statuses from which the metrics are computed."""

from collections.abc import Iterable

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import ConditionStatus, ConditionType
from sdbench.controller.cluster import Key, key_of


class Board:
    """Benchmarks by key; one that is gone is not on it."""

    def __init__(self) -> None:
        self._benchmarks: dict[Key, Benchmark] = {}

    def put(self, benchmark: Benchmark) -> None:
        """What a pass found."""
        self._benchmarks[key_of(benchmark)] = benchmark

    def drop(self, key: Key) -> None:
        """It is gone."""
        self._benchmarks.pop(key, None)

    def replace(self, benchmarks: Iterable[Benchmark]) -> None:
        """What a full list found: whatever is not in it is gone."""
        self._benchmarks = {key_of(benchmark): benchmark for benchmark in benchmarks}

    def benchmarks(self) -> tuple[Benchmark, ...]:
        """All of them, by namespace and name."""
        return tuple(self._benchmarks[key] for key in sorted(self._benchmarks))


def settled(benchmark: Benchmark) -> bool:
    """Whether nothing can happen any more unless the Benchmark is changed."""
    status, metadata = benchmark.status, benchmark.metadata
    cleaned = any(c.type is ConditionType.CLEANED_UP and c.status is ConditionStatus.TRUE for c in status.conditions)
    return cleaned and status.observed_generation == metadata.generation
