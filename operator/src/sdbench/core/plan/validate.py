"""May a question be asked as it is? Its plan, and what its limits, gate, projection and labels ask of that plan.

Which labels and annotations of a question are not its author's to set? The API server's rules, said again.

They are asked here too, because an older CRD may have let the question in.

What does the administrator add to a Benchmark's pods? The preset that it names, if it may be had.
"""

from collections.abc import Iterator, Mapping

from sdbench.api.benchmark import Benchmark
from sdbench.api.reserved import reserved
from sdbench.api.spec import Spec
from sdbench.api.spec_scheduling import Preset
from sdbench.core.format import SECONDS_PER_HOUR
from sdbench.core.plan.caps import budget, devices_at_once
from sdbench.core.plan.estimate import certain_device_seconds
from sdbench.core.plan.grid import PlanRefused, Trial, plan
from sdbench.core.snapshot import Bounds

UNBOUNDED = Bounds()
ITSELF = "a benchmark cannot be compared with itself: name another"


def accepted(benchmark: Benchmark, bounds: Bounds = UNBOUNDED) -> tuple[Trial, ...]:
    """The plan of a question that can be answered within the administrator's bounds; raises PlanRefused."""
    planned = plan(benchmark.spec)
    of_limits = (*_of_bounds(benchmark, bounds), *_of_budget(benchmark, planned, bounds))
    of_parts = (*_of_gate(benchmark), *_of_stages(benchmark, planned), *refused_labels(benchmark.spec))
    for refusal in (*of_limits, *of_parts):
        raise refusal
    return planned


def _of_bounds(benchmark: Benchmark, bounds: Bounds) -> Iterator[PlanRefused]:
    largest, allowed = max(benchmark.spec.devices.counts), devices_at_once(benchmark.spec, bounds)
    if largest > allowed.count:
        sentence = f"{largest} devices are more than {allowed.named}, {allowed.count}"
        yield PlanRefused("spec.devices.counts", sentence)


def _of_budget(benchmark: Benchmark, planned: tuple[Trial, ...], bounds: Bounds) -> Iterator[PlanRefused]:
    """Only before anything was spent: a limit that is lowered later is a brake."""
    spec = benchmark.spec
    if spec.limits.cost is not None and not spec.devices.hourly_price:
        yield PlanRefused("spec.limits.cost", "set devices.hourlyPrice: without a price nothing costs anything")
    allowed, certain = budget(spec, bounds), certain_device_seconds(planned, spec)
    if allowed is not None and (certain > allowed.device_seconds or not allowed.device_seconds):
        sentence = (
            f"the warm-ups alone take {certain / SECONDS_PER_HOUR:.3f} device-hours, and {allowed.named} is "
            f"{allowed.device_hours:.3f}; ask for fewer devices or repeats, or raise it"
        )
        yield PlanRefused("spec.limits", sentence)


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


def refused_labels(spec: Spec) -> Iterator[PlanRefused]:
    """Each that is refused, with a sentence."""
    for path, keys in (("spec.podLabels", spec.pod_labels), ("spec.podAnnotations", spec.pod_annotations)):
        for key in filter(reserved, keys):
            yield PlanRefused(path, f"{key} is reserved: see docs/scheduling.md")
    for key in spec.pod_annotations:
        if "/" not in key:
            yield PlanRefused("spec.podAnnotations", f"{key} needs a domain, as in example.org/{key}")


PRESET_PATH = "spec.scheduling.preset"


def chosen_preset(spec: Spec, presets: Mapping[str, Preset] | None) -> Preset | None:
    """The named preset, to be pinned; None where none is named or none has a meaning. Raises PlanRefused."""
    name = spec.scheduling.preset
    if name is None or presets is None:
        return None
    if name not in presets:
        there = f"there are: {', '.join(sorted(presets))}" if presets else "the administrator has defined none"
        raise PlanRefused(PRESET_PATH, f"no preset {name}; {there}")
    if spec.devices.resource in presets[name].resources:
        raise PlanRefused(PRESET_PATH, f"{name} brings {spec.devices.resource}, of which spec.devices has the number")
    return presets[name]
