"""Caches the last read state of every Benchmark, from which the metrics are computed."""

from collections.abc import Iterable, Mapping
from typing import Any

from sdbench.api.benchmark import Benchmark, Metadata
from sdbench.api.reasons import Reason
from sdbench.api.status import ENDS, ConditionStatus, ConditionType
from sdbench.controller.apiserver.cluster import Key, key_of
from sdbench.core.trial.retention import may_keep_a_job


class BenchmarkCache:
    """The Benchmarks that exist, by key."""

    def __init__(self) -> None:
        self._benchmarks: dict[Key, Benchmark] = {}
        self._passed: dict[Key, Metadata] = {}
        self._since_listing: dict[Key, Benchmark | None] = {}
        self._unreadable: dict[Key, Metadata] = {}

    def put(self, benchmark: Benchmark) -> None:
        """Takes a Benchmark as a pass has found and left it."""
        key = key_of(benchmark)
        self._benchmarks[key] = self._since_listing[key] = benchmark
        self._passed[key] = benchmark.metadata

    def drop(self, key: Key) -> None:
        """Forgets a Benchmark that is gone."""
        self._benchmarks.pop(key, None)
        self._passed.pop(key, None)
        self._since_listing[key] = None

    def start_listing(self) -> None:
        """Marks the start of a full list: what passes find from now on is newer than it."""
        self._since_listing.clear()

    def replace(self, benchmarks: Iterable[Benchmark]) -> None:
        """Takes the content of a full list: whatever is not in it is gone."""
        found: dict[Key, Benchmark | None] = {key_of(benchmark): benchmark for benchmark in benchmarks}
        newest = found | self._since_listing
        self._benchmarks = {key: benchmark for key, benchmark in newest.items() if benchmark is not None}
        self._passed = {key: metadata for key, metadata in self._passed.items() if key in self._benchmarks}

    def benchmarks(self) -> tuple[Benchmark, ...]:
        """All Benchmarks, by namespace and name."""
        return tuple(self._benchmarks[key] for key in sorted(self._benchmarks))

    def unchanged(self, metadata: Mapping[str, Any]) -> Benchmark | None:
        """The cached Benchmark, if this metadata has its UID and resourceVersion."""
        known = self._benchmarks.get(Key(metadata["namespace"], metadata["name"]))
        same = known is not None and _version(known.metadata) == (metadata["uid"], metadata["resourceVersion"])
        return known if same else None

    def mark_unreadable(self, metadata: Metadata) -> None:
        """Remembers that this version of the Benchmark cannot be read."""
        self._unreadable[Key(metadata.namespace, metadata.name)] = metadata

    def is_unreadable(self, metadata: Metadata) -> bool:
        """Whether this version of the Benchmark is known to be unreadable."""
        known = self._unreadable.get(Key(metadata.namespace, metadata.name))
        return known is not None and _version(known) == _version(metadata)

    def needs_pass(self, benchmark: Benchmark) -> bool:
        """Whether something may have happened that no watch reports."""
        if not is_settled(benchmark):
            return True
        passed = self._passed.get(key_of(benchmark))
        # A pass over this very version has requeued it for when its time comes.
        if passed is not None and _version(passed) == _version(benchmark.metadata):
            return False
        # What another operator has not accepted, one with other presets or bounds may accept.
        conditions = benchmark.status.conditions
        refused = any(one.type is ConditionType.ACCEPTED and one.status is ConditionStatus.FALSE for one in conditions)
        return refused or is_timed(benchmark)


def _version(metadata: Metadata) -> tuple[str, str]:
    return metadata.uid, metadata.resource_version


def is_settled(benchmark: Benchmark) -> bool:
    """Whether nothing can happen any more unless the Benchmark is edited or a time limit passes."""
    status = benchmark.status
    without_backend = any(condition.reason == Reason.BACKEND_UNAVAILABLE for condition in status.conditions)
    current = status.observed_generation == benchmark.metadata.generation
    return status.true_condition(ConditionType.CLEANED_UP) is not None and current and not without_backend


def is_timed(benchmark: Benchmark) -> bool:
    """Whether the Benchmark, or a job of it, is to be deleted some time after its end."""
    spec = benchmark.spec
    keeps = spec.retention.failed_seconds > 0 and any(may_keep_a_job(row) for row in benchmark.status.trials)
    return spec.ttl_seconds_after_finished is not None or keeps


def is_over(document: Mapping[str, Any]) -> bool:
    """Whether a Benchmark, given as JSON, ended, is cleaned up and has not changed since."""
    # Not parsed, as is_settled needs it: a list may hold thousands, and some that this version cannot read.
    status = document.get("status") or {}
    conditions = status.get("conditions") or ()
    true = {condition.get("type") for condition in conditions if condition.get("status") == "True"}
    ended = not true.isdisjoint(ENDS) and ConditionType.CLEANED_UP in true
    return ended and status.get("observedGeneration") == document["metadata"].get("generation")
