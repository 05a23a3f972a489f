"""Which series does the operator serve? One table: name, kind, labels, meaning."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Series:
    """A metric; a counter's name ends in _total."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


_POINT = ("namespace", "benchmark", "point", "devices")
_BENCHMARK = ("namespace", "benchmark")

POINT_RATE = Series("sdbench_point_images_per_second", Kind.GAUGE, _POINT, "Mean over the repeats of a Point.")
POINT_EFFICIENCY = Series(
    "sdbench_point_scaling_efficiency_ratio",
    Kind.GAUGE,
    _POINT,
    "Rate per device over that of the smallest device count.",
)
POINT_DAYS = Series("sdbench_point_projected_days", Kind.GAUGE, _POINT, "Days of the full training at this rate.")
POINT_COST = Series("sdbench_point_projected_cost", Kind.GAUGE, _POINT, "Device-hours of the full training x price.")
POINT_MFU = Series("sdbench_point_mfu_ratio", Kind.GAUGE, _POINT, "Model FLOPs utilisation.")

PHASE = Series(
    "sdbench_benchmark_phase", Kind.GAUGE, (*_BENCHMARK, "phase"), "1 for the Benchmark's phase, 0 for the others."
)
VERDICT = Series(
    "sdbench_benchmark_verdict",
    Kind.GAUGE,
    (*_BENCHMARK, "verdict"),
    "1 for the gate's verdict, 0 for the others; from the Benchmark's end on.",
)
TRIALS = Series("sdbench_benchmark_trials", Kind.GAUGE, (*_BENCHMARK, "phase"), "Trials in each phase.")
SPENT = Series(
    "sdbench_benchmark_spent_device_seconds_total",
    Kind.COUNTER,
    _BENCHMARK,
    "Device-seconds from scheduled to released, over all Attempts.",
)

DURATION = Series("sdbench_operator_reconcile_duration_seconds", Kind.HISTOGRAM, (), "Length of a pass.")
ERRORS = Series("sdbench_operator_reconcile_errors_total", Kind.COUNTER, ("reason",), "Passes that failed.")
DEPTH = Series("sdbench_operator_queue_depth", Kind.GAUGE, (), "Benchmarks that wait for a pass.")
LAG = Series("sdbench_operator_event_loop_lag_seconds", Kind.GAUGE, (), "How late the event loop was last.")
LAST_EVENT = Series(
    "sdbench_operator_last_watch_event_timestamp_seconds", Kind.GAUGE, (), "When a watch last said something."
)
REQUESTS = Series(
    "sdbench_operator_api_requests_total",
    Kind.COUNTER,
    ("verb", "resource", "code"),
    "Requests to the API server; code is `error` when there was no response.",
)
BUILD = Series("sdbench_build_info", Kind.GAUGE, ("component", "version"), "Always 1.")

OF_BENCHMARKS = (POINT_RATE, POINT_EFFICIENCY, POINT_DAYS, POINT_COST, POINT_MFU, PHASE, VERDICT, TRIALS, SPENT)
OF_OPERATOR = (DURATION, ERRORS, DEPTH, LAG, LAST_EVENT, REQUESTS, BUILD)
ALL = (*OF_BENCHMARKS, *OF_OPERATOR)
