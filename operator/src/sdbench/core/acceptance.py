"""May a question be asked as it is? Its plan, what gate and projection ask of that plan, and the labels of its pods."""

from collections.abc import Iterator

from sdbench.api.benchmark import Benchmark
from sdbench.core.labels import refused_labels
from sdbench.core.plan import PlanRefused, Trial, plan

ITSELF = "a benchmark cannot be compared with itself: name another"


def accepted(benchmark: Benchmark) -> tuple[Trial, ...]:
    """The plan of a question that can be answered; raises PlanRefused."""
    planned = plan(benchmark.spec)
    for refusal in (*_of_gate(benchmark), *_of_stages(benchmark, planned), *refused_labels(benchmark.spec)):
        raise refusal
    return planned


def _of_gate(benchmark: Benchmark) -> Iterator[PlanRefused]:
    spec, gate = benchmark.spec, benchmark.spec.gate
    if gate is None:
        return
    for count in gate.devices or ():
        if count not in spec.devices.counts:
            yield PlanRefused("spec.gate.devices", f"{count} is not in devices.counts: only those are measured")
    if gate.max_cost is not None and not spec.devices.hourly_price:
        yield PlanRefused("spec.gate.maxCost", "set devices.hourlyPrice: without a price nothing costs anything")
    if gate.baseline is not None and gate.baseline.name == benchmark.metadata.name:
        yield PlanRefused("spec.gate.baseline.name", ITSELF)


def _of_stages(benchmark: Benchmark, planned: tuple[Trial, ...]) -> Iterator[PlanRefused]:
    for index, stage in enumerate(benchmark.spec.projection.stages or ()):
        path = f"spec.projection.stages[{index}]"
        if stage.benchmark == benchmark.metadata.name:
            yield PlanRefused(f"{path}.benchmark", ITSELF)
        if stage.benchmark is not None or stage.rate_ratio is not None:
            continue
        for size in sorted({trial.point.config.image_size for trial in planned} - {stage.image_size}):
            sentence = (
                f"a Point at {size} px has no rate at {stage.image_size} px: name a benchmark that measured it, or "
                "a rateRatio"
            )
            yield PlanRefused(path, sentence)
