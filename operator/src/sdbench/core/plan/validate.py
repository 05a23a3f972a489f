"""Accepts a Benchmark, or refuses it before a device is spent, and pins what the administrator set."""

from collections.abc import Mapping
from itertools import product

from sdbench.api.benchmark import Benchmark
from sdbench.api.crd.rules import LIMITS
from sdbench.api.crd.rules_gate import WHOLE
from sdbench.api.crd.rules_scheduling import ANNOTATIONS, LABELS
from sdbench.api.spec import Spec
from sdbench.api.spec_scheduling import Preset
from sdbench.api.status import Resolved, TrialRow
from sdbench.core.format import SECONDS_PER_HOUR
from sdbench.core.plan.caps import budget, devices_at_once
from sdbench.core.plan.estimate import certain_device_seconds
from sdbench.core.plan.grid import PlanRefused, Trial, plan, refuse_broken, trials
from sdbench.core.snapshot import Bounds, Snapshot

UNBOUNDED = Bounds()
PRESET_PATH = "spec.scheduling.preset"


def accept(snapshot: Snapshot) -> tuple[Resolved, tuple[Trial, ...]]:
    """What was pinned at acceptance, or is pinned now, and the plan. Raises PlanRefused."""
    benchmark, defaults = snapshot.benchmark, snapshot.defaults
    if benchmark.status.resolved is not None:
        # Limits that were lowered since acceptance do not change the plan: they skip Trials.
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
    spec = benchmark.spec
    planned = plan(spec)
    largest, at_once = max(spec.devices.counts), devices_at_once(spec, bounds)
    if largest > at_once.count:
        sentence = f"{largest} devices are more than {at_once.named}, {at_once.count}"
        raise PlanRefused("spec.devices.counts", sentence)
    refuse_broken(LIMITS, benchmark)
    allowed, certain = budget(spec, bounds), certain_device_seconds(planned, spec)
    if allowed is not None and (certain > allowed.device_seconds or not allowed.device_seconds):
        sentence = (
            f"the warm-ups alone take {certain / SECONDS_PER_HOUR:.3f} device-hours, and {allowed.named} is "
            f"{allowed.device_hours:.3f}; ask for fewer devices or repeats, or raise it"
        )
        raise PlanRefused("spec.limits", sentence)
    refuse_broken(WHOLE, benchmark)
    for rules, keys in ((LABELS, spec.pod_labels), (ANNOTATIONS, spec.pod_annotations)):
        # One at a time, so that the path names the key.
        for rule, key in product(rules, keys):
            if rule.is_broken((key,)):
                raise PlanRefused(f"{rule.path}[{key}]", rule.message)
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


def _require_same_plan(planned: tuple[Trial, ...], rows: tuple[TrialRow, ...]) -> None:
    asked = [(trial.index, trial.point.label, trial.repeat) for trial in planned]
    if rows and asked != [(row.trial, row.point, row.repeat) for row in rows]:
        raise PlanRefused(
            "status.trials", "these rows belong to another plan; delete the benchmark and create it again"
        )
