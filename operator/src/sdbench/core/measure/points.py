"""Aggregates the measured Trials of each Point: rates and their spread, efficiency, batch and extremes."""

from decimal import Decimal
from typing import Any

from sdbench.api.spec import Spec
from sdbench.api.status import EnvironmentRow, PointRow, RowMeasurement, Status, TrialPhase, TrialRow
from sdbench.core.format import decimal
from sdbench.core.measure.environments import environments_of, mixed
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
    status = Status(trials=rows, environments=environments)
    made: list[PointRow] = []
    smallest: dict[str, Decimal] = {}
    for label, point in points.items():
        measured = [row for row in rows if row.point == label and row.phase is TrialPhase.SUCCEEDED]
        repeats = [row.measurement for row in measured if row.measurement is not None]
        if repeats:
            rate = _mean([one.images_per_second for one in repeats])
            # Counts ascend, so the first Point of the same parameters has the smallest count: efficiency is 1 there.
            efficiency = rate / point.devices / smallest.setdefault(point.knobs, rate / point.devices)
            fields = {
                **_rates(point, repeats, efficiency),
                **_batch(point, repeats),
                **_extremes(repeats),
                **projection_fields(point, OwnRate(rate, environments_of(label, status)), spec, others),
            }
            made.append(PointRow(point=label, devices=point.devices, mixed=mixed(measured, environments), **fields))
    return tuple(made)


def _mean(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _rates(point: Point, measured: list[RowMeasurement], efficiency: Decimal) -> Fields:
    """The mean rates of the repeats, and their spread where there are two or more."""
    rate, spread = (
        _mean([one.images_per_second for one in measured]),
        sample([one.images_per_second for one in measured]),
    )
    # Gates compare the medians' spread: a stall within a window hardly moves it.
    medians = sample([one.median_images_per_second for one in measured])
    fields = {
        "standard_deviation": spread.standard_deviation,
        "coefficient_of_variation": spread.coefficient_of_variation,
        "interval_low": spread.low,
        "interval_high": spread.high,
        "median_standard_deviation": medians.standard_deviation,
        "median_coefficient_of_variation": medians.coefficient_of_variation,
    }
    # The interval of a wide spread reaches below 0, which no rate does.
    statistics = {name: decimal(max(0.0, value), PLACES) for name, value in fields.items() if value is not None}
    utilisations = [one.mfu_ratio for one in measured if one.mfu_ratio is not None]
    return {
        "repeats": len(measured),
        "disturbed_repeats": sum(one.disturbed for one in measured),
        "images_per_second": decimal(rate, PLACES),
        "median_images_per_second": decimal(medians.mean, PLACES),
        "images_per_second_per_device": decimal(rate / point.devices, PLACES),
        "scaling_efficiency": decimal(efficiency, PLACES),
        "mfu_ratio": decimal(_mean(utilisations), PLACES) if len(utilisations) == len(measured) else None,
        **statistics,
    }


def _batch(point: Point, measured: list[RowMeasurement]) -> Fields:
    """The batch as requested and as run."""
    planned = division(point.config, point.devices)
    # An automatic microbatch is only known afterwards: the repeats say into how many a step was divided.
    microbatches = max((one.microbatches or 0 for one in measured), default=0) or planned.microbatches
    whole = microbatches == planned.microbatches
    return {
        "requested_global_batch_size": planned.asked,
        "global_batch_size": planned.run,
        "per_device": planned.per_device,
        "device_microbatch_size": planned.microbatch if whole else -(-planned.per_device // microbatches),
        "microbatches": microbatches,
    }


def _extremes(measured: list[RowMeasurement]) -> Fields:
    """The worst value of the repeats, and the mean of their median steps."""
    device_peaks = [one.device_memory_peak_bytes for one in measured if one.device_memory_peak_bytes is not None]
    return {
        "step_seconds_p50": decimal(_mean([one.step_seconds_p50 for one in measured])),
        # A slowdown and a speed-up within the window are equally bad.
        "drift_ratio": max((one.drift_ratio for one in measured), key=lambda drift: abs(float(drift))),
        "rank_skew_ratio_max": decimal(max(one.rank_skew_ratio for one in measured), PLACES),
        "data_wait_ratio_max": decimal(max(one.data_wait_ratio_max for one in measured), PLACES),
        "host_memory_peak_bytes": max(one.host_memory_peak_bytes for one in measured),
        "device_memory_peak_bytes": max(device_peaks, default=None),
        "replaced_samples": sum(one.replaced_samples for one in measured),
    }
