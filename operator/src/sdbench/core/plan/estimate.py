"""Estimates a plan: its size, and what it costs at least and at most."""

from decimal import Decimal

from sdbench.api.spec import Spec
from sdbench.api.status import Plan
from sdbench.core.format import SECONDS_PER_HOUR, decimal
from sdbench.core.plan.caps import devices_at_once
from sdbench.core.plan.grid import Trial
from sdbench.core.snapshot import Bounds

PLACES = 3


def plan_size(planned: tuple[Trial, ...], spec: Spec) -> Plan:
    """The plan as shown in `status.plan`."""
    points = {trial.point.label: trial.point.devices for trial in planned}
    # If each Attempt lasted limits.totalSeconds and each Trial took all of its retries.
    longest = spec.limits.total_seconds * (1 + spec.retries)
    most = Decimal(sum(trial.point.devices for trial in planned) * longest)
    return Plan(
        trials=len(planned),
        points=len(points),
        largest_devices=max(points.values()),
        least_device_hours=decimal(certain_device_seconds(planned, spec) / SECONDS_PER_HOUR, PLACES),
        most_device_hours=decimal(most / SECONDS_PER_HOUR, PLACES),
    )


def plan_sentence(found: Plan, spec: Spec, bounds: Bounds) -> str:
    """The plan in a few words."""
    most = min(found.largest_devices * spec.parallelism, devices_at_once(spec, bounds).count)
    return f"{found.trials} trials of {found.points} points, with at most {most} devices at once"


def certain_device_seconds(planned: tuple[Trial, ...], spec: Spec) -> Decimal:
    """The device-seconds of the warm-ups of the repeats that are measured in any case."""
    certain = [trial.point for trial in planned if trial.repeat < spec.repeats.min]
    return Decimal(sum(point.devices * point.config.window.warmup_seconds for point in certain))
