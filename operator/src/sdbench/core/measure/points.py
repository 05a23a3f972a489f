"""Aggregates the measured Trials of each Point: rates and their spread, efficiency, batch and extremes."""

from decimal import Decimal
from typing import Any

from sdbench.api.spec import Spec
from sdbench.api.status import EnvironmentRow, PointRow, RowMeasurement, Status, TrialPhase, TrialRow
from sdbench.core.format import decimal
from sdbench.core.measure.environments import RunEnvironment, environments_of, mixed
from sdbench.core.measure.projection import OwnRate, projection_fields
from sdbench.core.measure.references import NO_OTHERS, Lookup
from sdbench.core.measure.statistics import sample
from sdbench.core.plan.grid import Point, Trial
from sdbench_trainer.run import division

Fields = dict[str, Any]
"""A part of a PointRow's fields."""

PLACES = 6


def point_rows(
    rows: tuple[TrialRow, ...],
    trials: tuple[Trial, ...],
    spec: Spec,
    others: Lookup = NO_OTHERS,
    *,
    environments: tuple[EnvironmentRow, ...] = (),
) -> tuple[PointRow, ...]:
    """A row for each measured Point, in the plan's order: counts ascend. `others` looks up what stages refer to."""
    points = {trial.point.label: trial.point for trial in trials}
    made: list[PointRow] = []
    smallest: dict[str, Decimal] = {}
    for label, point in points.items():
        measured = [row for row in rows if row.point == label and row.measurement is not None]
        repeats = [
            row.measurement for row in measured if row.phase is TrialPhase.SUCCEEDED and row.measurement is not None
        ]
        if repeats:
            rate = _mean([one.images_per_second for one in repeats]) / point.devices
            # Counts ascend, so the first Point of the same parameters has the smallest count: efficiency is 1 there.
            efficiency = rate / smallest.setdefault(point.knobs, rate)
            ran_on = environments_of(label, Status(trials=rows, environments=environments))
            row = _point_row(point, repeats, efficiency, ran_on, spec, others)
            made.append(row.model_copy(update={"mixed": mixed(measured, environments)}))
    return tuple(made)


def _mean(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _point_row(
    point: Point,
    measured: list[RowMeasurement],
    efficiency: Decimal,
    ran_on: tuple[RunEnvironment | None, ...],
    spec: Spec,
    others: Lookup,
) -> PointRow:
    rate = _mean([one.images_per_second for one in measured])
    spread = sample([one.images_per_second for one in measured])
    utilisations = [one.mfu_ratio for one in measured if one.mfu_ratio is not None]
    return PointRow(
        point=point.label,
        devices=point.devices,
        repeats=len(measured),
        images_per_second=decimal(rate, PLACES),
        standard_deviation=optional_statistic(spread.standard_deviation),
        coefficient_of_variation=optional_statistic(spread.coefficient_of_variation),
        interval_low=optional_statistic(spread.low),
        interval_high=optional_statistic(spread.high),
        **median_spread(measured),
        images_per_second_per_device=decimal(rate / point.devices, PLACES),
        scaling_efficiency=decimal(efficiency, PLACES),
        **extremes(measured),
        mfu_ratio=decimal(_mean(utilisations), PLACES) if len(utilisations) == len(measured) else None,
        **batch_truth(point, measured),
        **projection_fields(point, OwnRate(rate, ran_on), spec, others),
    )


def batch_truth(point: Point, measured: list[RowMeasurement]) -> Fields:
    """The batch as requested and as run; the repeats know into how many microbatches a step was divided."""
    planned = division(point.config, point.devices)
    microbatches = max((one.microbatches or 0 for one in measured), default=0) or planned.microbatches
    whole = microbatches == planned.microbatches
    return {
        "requested_global_batch_size": planned.asked,
        "global_batch_size": planned.run,
        "per_device": planned.per_device,
        "device_microbatch_size": planned.microbatch if whole else -(-planned.per_device // microbatches),
        "microbatches": microbatches,
    }


def median_spread(measured: list[RowMeasurement]) -> Fields:
    """The spread of medianImagesPerSecond, which gates compare: a stall within a window hardly moves it."""
    spread = sample([one.median_images_per_second for one in measured])
    return {
        "median_images_per_second": decimal(spread.mean, PLACES),
        "median_standard_deviation": optional_statistic(spread.standard_deviation),
        "median_coefficient_of_variation": optional_statistic(spread.coefficient_of_variation),
        "disturbed_repeats": sum(one.disturbed for one in measured),
    }


def extremes(measured: list[RowMeasurement]) -> Fields:
    """The worst value of the repeats, and the mean of their median steps."""
    device_peaks = [one.device_memory_peak_bytes for one in measured if one.device_memory_peak_bytes is not None]
    steps = sum((one.step_seconds_p50 for one in measured), Decimal(0)) / len(measured)
    return {
        "step_seconds_p50": decimal(steps),
        "drift_ratio": max((one.drift_ratio for one in measured), key=lambda drift: abs(float(drift))),
        "rank_skew_ratio_max": decimal(max(one.rank_skew_ratio for one in measured), PLACES),
        "data_wait_ratio_max": decimal(max(one.data_wait_ratio_max for one in measured), PLACES),
        "host_memory_peak_bytes": max(one.host_memory_peak_bytes for one in measured),
        "device_memory_peak_bytes": max(device_peaks, default=None),
        "replaced_samples": sum(one.replaced_samples for one in measured),
    }


def optional_statistic(value: float | None) -> Decimal | None:
    """A statistic that needs two repeats, at least 0; None without them."""
    return decimal(max(0.0, value), PLACES) if value is not None else None
