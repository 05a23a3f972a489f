"""What did a Point's repeats show beside their rate? The batch that was run, spread of medians, extremes."""

from decimal import Decimal
from typing import Any

from sdbench.api.status import RowMeasurement
from sdbench.core.format import decimal
from sdbench.core.measure.statistics import sample
from sdbench.core.plan.grid import Point
from sdbench_trainer.run import division

Fields = dict[str, Any]
"""A part of a PointRow's fields."""

PLACES = 6


def batch_truth(point: Point, measured: list[RowMeasurement]) -> Fields:
    """Asked and run. Where a microbatch is found on the device, the repeats know into how many a step was divided."""
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
    """Of medianImagesPerSecond, which gates compare: a stall within a window hardly moves it."""
    spread = sample([one.median_images_per_second for one in measured])
    return {
        "median_images_per_second": decimal(spread.mean, PLACES),
        "median_standard_deviation": optional_statistic(spread.standard_deviation),
        "median_coefficient_of_variation": optional_statistic(spread.coefficient_of_variation),
        "disturbed_repeats": sum(one.disturbed for one in measured),
    }


def extremes(measured: list[RowMeasurement]) -> Fields:
    """The worst of the repeats; of their median steps the mean."""
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
    """A statistic that needs two repeats; an interval of a rate does not go below 0."""
    return decimal(max(0.0, value), PLACES) if value is not None else None
