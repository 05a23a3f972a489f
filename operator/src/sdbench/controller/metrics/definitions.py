"""Defines the operator's series in one table, from which docs/metrics.md is generated."""

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    """The metric types of Prometheus that the operator uses."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Series:
    """A metric; the name of a counter ends in _total."""

    name: str
    kind: MetricType
    labels: tuple[str, ...]
    help: str


_POINT = ("namespace", "benchmark", "point", "devices")
_BENCHMARK = ("namespace", "benchmark")


def _point(name: str, text: str) -> Series:
    return Series(f"sdbench_point_{name}", MetricType.GAUGE, _POINT, text)


def _benchmark(name: str, text: str, *labels: str) -> Series:
    kind = MetricType.COUNTER if name.endswith("_total") else MetricType.GAUGE
    return Series(f"sdbench_benchmark_{name}", kind, (*_BENCHMARK, *labels), text)


def _operator(name: str, text: str, *labels: str, kind: MetricType = MetricType.GAUGE) -> Series:
    return Series(f"sdbench_operator_{name}", kind, labels, text)


POINT_RATE = _point("images_per_second", "Images per second in the window, mean over the repeats of a Point.")
POINT_MEDIAN_RATE = _point(
    "median_images_per_second", "Images per second at the median step, mean over the repeats; gates judge this."
)
POINT_LOW = _point(
    "images_per_second_low", "Low end of the mean's 95 % t-interval; absent with fewer than two repeats."
)
POINT_HIGH = _point(
    "images_per_second_high", "High end of the mean's 95 % t-interval; absent with fewer than two repeats."
)
POINT_VARIATION = _point(
    "variation_ratio",
    "Coefficient of variation of the median rate over the repeats, as in gates and kubectl; absent with one repeat.",
)
POINT_EFFICIENCY = _point(
    "scaling_efficiency_ratio", "Rate per device divided by that of the smallest device count; not clamped at 1."
)
POINT_MFU = _point("mfu_ratio", "Model FLOPs utilisation; absent if the FLOP count or the device's peak is unknown.")
POINT_SKEW = _point(
    "rank_skew_ratio",
    "Time of a rank's own work before the first collective: slowest rank divided by median; worst repeat.",
)
POINT_DATA_WAIT = _point(
    "data_wait_ratio", "Share of the window in which the slowest rank waited for images; worst repeat."
)
POINT_DAYS = _point(
    "projected_days", "Days of the full training at this rate; absent if the rate of a stage is unknown."
)
POINT_DEVICE_HOURS = _point("device_hours", "Device-hours of the full training; absent if the days are.")
POINT_COST = _point("projected_cost", "Device-hours of the full training x spec.devices.hourlyPrice, in its currency.")
POINT_BASELINE = _point(
    "baseline_images_per_second",
    "Median rate of the same Point in the complete Benchmark that spec.gate.baseline names; absent if that is gone, or "
    "trained something else, or used other devices.",
)

PHASE = _benchmark("phase", "1 for the Benchmark's phase, 0 for the others.", "phase")
VERDICT = _benchmark(
    "verdict", "1 for the gate's verdict, 0 for the others; present once a Benchmark with a gate has ended.", "verdict"
)
TARGET = _benchmark("target_images_per_second", "spec.gate.minImagesPerSecond; absent without one.")
TRIALS = _benchmark("trials", "Trials in each phase.", "phase")
FAILED_TRIALS = _benchmark("failed_trials", "Failed Trials by reason; only reasons that occurred.", "reason")
WAITING_SINCE = _benchmark(
    "waiting_since_timestamp_seconds",
    "Since when the Trial that waits longest has waited for its devices; absent if none waits.",
)
DEVICES = _benchmark("devices", "Devices that the Benchmark's Attempts hold now.")
SPENT = _benchmark("spent_device_seconds_total", "Device-seconds from scheduled to released, over all Attempts.")
SPENT_COST = _benchmark("spent_cost_total", "Device-hours spent x spec.devices.hourlyPrice; absent without a price.")

DURATION = _operator("reconcile_duration_seconds", "Duration of a pass over a Benchmark.", kind=MetricType.HISTOGRAM)
ERRORS = _operator(
    "reconcile_errors_total",
    "Passes that failed, or went on without Events, by kind of error; Bug: a bug in this version of the operator.",
    "reason",
    kind=MetricType.COUNTER,
)
DEPTH = _operator("queue_depth", "Benchmarks that wait for a pass.")
LAG = _operator("event_loop_lag_seconds", "How late the event loop was at the last measurement.")
LAST_EVENT = _operator("last_watch_event_timestamp_seconds", "When a watch last delivered an event; 0: never.")
LAST_LIST = _operator(
    "last_list_timestamp_seconds",
    "When all Benchmarks were last listed, every 45 s while all is well; 0: never since the operator started.",
)
WATCH_FAILURES = _operator(
    "watch_failures_total",
    "How often all watches were restarted because one failed or did not begin.",
    kind=MetricType.COUNTER,
)
REQUESTS = _operator(
    "api_requests_total",
    "Requests to the API server; code is `error` if there was no response.",
    "verb",
    "resource",
    "code",
    kind=MetricType.COUNTER,
)
BUILD = Series("sdbench_build_info", MetricType.GAUGE, ("component", "version"), "Always 1.")

OF_POINTS = (
    *(POINT_RATE, POINT_LOW, POINT_HIGH, POINT_MEDIAN_RATE, POINT_VARIATION, POINT_BASELINE, POINT_EFFICIENCY),
    *(POINT_MFU, POINT_SKEW, POINT_DATA_WAIT, POINT_DAYS, POINT_DEVICE_HOURS, POINT_COST),
)
OF_BENCHMARKS = (PHASE, VERDICT, TARGET, TRIALS, FAILED_TRIALS, WAITING_SINCE, DEVICES, SPENT, SPENT_COST)
OF_OPERATOR = (DURATION, ERRORS, DEPTH, LAG, LAST_EVENT, LAST_LIST, WATCH_FAILURES, REQUESTS, BUILD)
ALL = (*OF_POINTS, *OF_BENCHMARKS, *OF_OPERATOR)
