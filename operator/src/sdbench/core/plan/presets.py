"""What does the administrator add to a Benchmark's pods? The preset that it names, if it may be had."""

from collections.abc import Mapping

from sdbench.api.spec import Spec
from sdbench.api.spec_scheduling import Preset
from sdbench.core.plan.grid import PlanRefused

PATH = "spec.scheduling.preset"


def chosen_preset(spec: Spec, presets: Mapping[str, Preset] | None) -> Preset | None:
    """The named preset, to be pinned; None where none is named or none has a meaning. Raises PlanRefused."""
    name = spec.scheduling.preset
    if name is None or presets is None:
        return None
    if name not in presets:
        there = f"there are: {', '.join(sorted(presets))}" if presets else "the administrator has defined none"
        raise PlanRefused(PATH, f"no preset {name}; {there}")
    if spec.devices.resource in presets[name].resources:
        raise PlanRefused(PATH, f"{name} brings {spec.devices.resource}, of which spec.devices has the number")
    return presets[name]
