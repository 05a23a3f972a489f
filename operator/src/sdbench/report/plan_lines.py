"""Words the plan of a Benchmark, before it costs anything."""

from collections.abc import Iterator

from sdbench.api.benchmark import Benchmark
from sdbench.core.plan.grid import Trial
from sdbench.report.answers import extent
from sdbench.report.gate_lines import asked_limits, judged_points
from sdbench.report.notes import ragged
from sdbench_trainer.run import division


def plan_lines(benchmark: Benchmark, trials: tuple[Trial, ...]) -> Iterator[str]:
    """The number of Trials and devices, then a line for each Point."""
    spec = benchmark.spec
    points = [trial.point for trial in trials if trial.repeat == 0]
    kind = spec.devices.resource or "CPU processes"
    count = f"{_counted(len(trials), 'Trial')} of {_counted(len(points), 'Point')}"
    yield f"{benchmark.metadata.name}: {count}, on up to {max(spec.devices.counts):,} {kind}"
    least = f"{spec.repeats.min:,} to " if spec.repeats.most > spec.repeats.min else ""
    for point in points:
        pods = f"{_counted(point.pods, 'pod')} of {_counted(point.devices_per_pod, 'device')}"
        cut = ragged(division(point.config, point.devices), point.config.automatic_microbatch)
        batch = f"global batch {point.config.global_batch_size}{f' ({cut})' if cut else ''}"
        yield f"  {point.label}: {pods}, {batch}, {least}{_counted(spec.repeats.most, 'repeat')}"
    if spec.projection.stages:
        yield f"  projection: {extent(spec.projection)}"
    if spec.gate is not None:
        yield f"  gate {judged_points(spec.gate)}: {', '.join(asked_limits(spec.gate))}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
