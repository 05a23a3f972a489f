"""How fast were the baselines of the Benchmarks that exist? Their series, with each Benchmark planned once."""

from collections.abc import Iterator, Mapping

from sdbench.api.benchmark import Benchmark
from sdbench.controller.apiserver.cluster import Key, key_of
from sdbench.controller.metrics.samples import Sample, whose
from sdbench.core.gate.yardstick import baseline_rates
from sdbench.core.plan.grid import PlanRefused, Point, trials


class Baselines:
    """The plans of the Benchmarks that take part in a comparison; what a plan depends on is immutable."""

    def __init__(self) -> None:
        self._points: dict[str, Mapping[str, Point]] = {}

    def samples(self, benchmarks: tuple[Benchmark, ...]) -> Iterator[Sample]:
        """For each Point of a Benchmark with a baseline that is among these: that one's median images/s."""
        found = {key_of(benchmark): benchmark for benchmark in benchmarks}
        present = {benchmark.metadata.uid for benchmark in benchmarks}
        self._points = {uid: points for uid, points in self._points.items() if uid in present}
        for benchmark in benchmarks:
            gate = benchmark.spec.gate
            named = gate.baseline.name if gate is not None and gate.baseline is not None else None
            base = found.get(Key(benchmark.metadata.namespace, named)) if named is not None else None
            if base is not None:
                for point, rate in baseline_rates(benchmark, base, self._planned):
                    yield (*whose(benchmark), point.label, str(point.devices)), float(rate)

    def _planned(self, benchmark: Benchmark) -> Mapping[str, Point]:
        uid = benchmark.metadata.uid
        if uid not in self._points:
            self._points[uid] = _points(benchmark)
        return self._points[uid]


def _points(benchmark: Benchmark) -> Mapping[str, Point]:
    try:
        return {trial.point.label: trial.point for trial in trials(benchmark.spec)}
    except PlanRefused:
        return {}
