"""Validates a question against the limits, the gate, the projection and the labels that it asks for."""

from collections.abc import Iterator, Mapping

from sdbench.api.benchmark import Benchmark
from sdbench.api.reserved import reserved
from sdbench.api.spec import Spec
from sdbench.api.spec_scheduling import Preset
from sdbench.api.status import TrialRow
from sdbench.api.status_resolved import Resolved
from sdbench.core.format import SECONDS_PER_HOUR
from sdbench.core.plan.caps import budget, devices_at_once
from sdbench.core.plan.estimate import certain_device_seconds
from sdbench.core.plan.grid import PlanRefused, Trial, plan, trials
from sdbench.core.snapshot import Bounds, Snapshot

UNBOUNDED = Bounds()
ITSELF = "a benchmark cannot be compared with itself: name another"
PRESET_PATH = "spec.scheduling.preset"


def accept(snapshot: Snapshot) -> tuple[Resolved, tuple[Trial, ...]]:
    """What was pinned at acceptance, or is pinned now, and the plan. Raises PlanRefused."""
    benchmark, defaults = snapshot.benchmark, snapshot.defaults
    if benchmark.status.resolved is not None:
        # Accepted already: the plan must stay the same, and limits that were lowered since are brakes.
        planned = trials(benchmark.spec)
        _require_same_plan(planned, benchmark.status.trials)
        return benchmark.status.resolved, planned
    image = benchmark.spec.image or defaults.image
    if not image:
        raise PlanRefused("spec.image", "name the trainer's image; the operator has no default")
    pinned = Resolved(
        image=image,
        operator_version=defaults.operator_version,
        preset=chosen_preset(benchmark.spec, defaults.presets),
        workload=defaults.workload,
    )
    return pinned, accepted(benchmark, defaults.bounds)


def accepted(benchmark: Benchmark, bounds: Bounds = UNBOUNDED) -> tuple[Trial, ...]:
    """The plan of a question that can be answered within the administrator's bounds. Raises PlanRefused."""
    planned = plan(benchmark.spec)
    refusals = (
        *_beyond_bounds(benchmark, bounds),
        *_beyond_budget(benchmark, planned, bounds),
        *_impossible_gate(benchmark),
        *_impossible_stages(benchmark, planned),
        # The CRD refuses these, too; an older CRD may have let the question in.
        *refused_labels(benchmark.spec),
    )
    for refusal in refusals:
        raise refusal
    return planned


def chosen_preset(spec: Spec, presets: Mapping[str, Preset] | None) -> Preset | None:
    """The preset that the spec names, to be pinned; None without a name or an administrator. Raises PlanRefused."""
    name = spec.scheduling.preset
    if name is None or presets is None:
        return None
    if name not in presets:
        known = f"there are: {', '.join(sorted(presets))}" if presets else "the administrator has defined none"
        raise PlanRefused(PRESET_PATH, f"no preset {name}; {known}")
    if spec.devices.resource in presets[name].resources:
        sentence = f"{name} adds {spec.devices.resource}, whose number spec.devices already sets"
        raise PlanRefused(PRESET_PATH, sentence)
    return presets[name]


def refused_labels(spec: Spec) -> Iterator[PlanRefused]:
    """The labels and annotations that an author may not set."""
    for path, keys in (("spec.podLabels", spec.pod_labels), ("spec.podAnnotations", spec.pod_annotations)):
        for key in filter(reserved, keys):
            yield PlanRefused(path, f"{key} is reserved: see docs/scheduling.md")
    for key in spec.pod_annotations:
        if "/" not in key:
            yield PlanRefused("spec.podAnnotations", f"{key} needs a domain, as in example.org/{key}")


def _require_same_plan(planned: tuple[Trial, ...], rows: tuple[TrialRow, ...]) -> None:
    asked = [(trial.index, trial.point.label, trial.repeat) for trial in planned]
    if rows and asked != [(row.trial, row.point, row.repeat) for row in rows]:
        raise PlanRefused(
            "status.trials", "these rows belong to another plan; delete the benchmark and create it again"
        )


def _beyond_bounds(benchmark: Benchmark, bounds: Bounds) -> Iterator[PlanRefused]:
    largest, allowed = max(benchmark.spec.devices.counts), devices_at_once(benchmark.spec, bounds)
    if largest > allowed.count:
        sentence = f"{largest} devices are more than {allowed.named}, {allowed.count}"
        yield PlanRefused("spec.devices.counts", sentence)


def _beyond_budget(benchmark: Benchmark, planned: tuple[Trial, ...], bounds: Bounds) -> Iterator[PlanRefused]:
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


def _impossible_gate(benchmark: Benchmark) -> Iterator[PlanRefused]:
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


def _impossible_stages(benchmark: Benchmark, planned: tuple[Trial, ...]) -> Iterator[PlanRefused]:
    sizes = {trial.point.config.image_size for trial in planned}
    for index, stage in enumerate(benchmark.spec.projection.stages or ()):
        path = f"spec.projection.stages[{index}]"
        if stage.benchmark == benchmark.metadata.name:
            yield PlanRefused(f"{path}.benchmark", ITSELF)
        if stage.benchmark is not None or stage.rate_ratio is not None:
            continue
        for size in sorted(sizes - {stage.image_size}):
            sentence = (
                f"a Point at {size} px has no rate at {stage.image_size} px: name a benchmark that measured it, or "
                "set a rateRatio"
            )
            yield PlanRefused(path, sentence)
