"""Words a plan for a person, before it costs anything."""

from collections.abc import Iterator
from itertools import groupby

from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Repeats
from sdbench.core.plan.grid import Point, Trial
from sdbench.report.answers import extent
from sdbench.report.batch import ragged
from sdbench.report.gate_lines import asked_limits, judged_points
from sdbench_trainer.run import division


def plan_lines(benchmark: Benchmark, trials: tuple[Trial, ...]) -> Iterator[str]:
    """How many Trials on how many devices, then a line for each Point."""
    points = [trial.point for trial in trials if trial.repeat == 0]
    name, devices = benchmark.metadata.name, benchmark.spec.devices
    kind = devices.resource or "CPU processes"
    yield (
        f"{name}: {_counted(len(trials), 'Trial')} of {_counted(len(points), 'Point')}, "
        f"on up to {max(devices.counts):,} {kind}"
    )
    for _, group in groupby(points, key=lambda point: point.devices):
        yield from (f"  {_line(point, benchmark.spec.repeats)}" for point in group)
    if benchmark.spec.projection.stages:
        yield f"  projection: {extent(benchmark.spec.projection)}"
    if benchmark.spec.gate is not None:
        yield f"  gate {judged_points(benchmark.spec.gate)}: {', '.join(asked_limits(benchmark.spec.gate))}"


def _line(point: Point, repeats: Repeats) -> str:
    config = point.config
    return (
        f"{point.label}: {_counted(point.pods, 'pod')} of {_counted(point.devices_per_pod, 'device')}, "
        f"global batch {config.global_batch_size}{_cut(point)}, {_repeats(repeats)}"
    )


def _cut(point: Point) -> str:
    """What runs in place of a batch that does not divide."""
    words = ragged(division(point.config, point.devices), point.config.automatic_microbatch)
    return f" ({words})" if words else ""


def _repeats(asked: Repeats) -> str:
    some = f"{asked.min:,} to " if asked.most > asked.min else ""
    return f"{some}{_counted(asked.most, 'repeat')}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
