"""Defines the dashboard *Fleet and operator*: all Benchmarks, and the operator."""

from charts.dashboards.catalog import BENCHMARK, or_unknown
from charts.dashboards.dashboard import Dashboard, Section
from charts.dashboards.panels import BENCHMARK_COLUMNS, Query, areas, bars, lines, numbers, table, words

NAMESPACE = "cluster, namespace"
EACH = f"max by ({BENCHMARK}) (sdbench_benchmark_phase)"
SPENT = f"max by ({BENCHMARK}) (sdbench_benchmark_spent_device_seconds_total)"
COST = f"max by ({BENCHMARK}) (sdbench_benchmark_spent_cost_total)"
HELD = f"max by ({BENCHMARK}) (sdbench_benchmark_devices)"
WAITING = f"min by ({BENCHMARK}) (sdbench_benchmark_waiting_since_timestamp_seconds)"
FAILED = f"max by ({BENCHMARK}, reason) (sdbench_benchmark_failed_trials)"
VERDICTS = f"max by ({BENCHMARK}, verdict) (sdbench_benchmark_verdict)"
BUCKETS = "sum by (cluster, le) (rate(sdbench_operator_reconcile_duration_seconds_bucket[$__rate_interval]))"
LAST_LIST = "max by (cluster) (sdbench_operator_last_list_timestamp_seconds)"
LAST_EVENT = "max by (cluster) (sdbench_operator_last_watch_event_timestamp_seconds)"


def none_of(label: str, value: str, count: str) -> str:
    """A count of Benchmarks that belongs to no value of this label."""
    return f'label_replace({count}, "{label}", "{value}", "", "")'


OPEN_RUN = {
    "title": "See it run",
    "url": "/d/sdbench-run?var-namespace=${__data.fields.Namespace}&var-benchmark=${__data.fields.Benchmark}"
    "&${datasource:queryparam}&${cluster:queryparam}&${__url_time_range}",
}

BENCHMARKS = (
    bars(
        "Benchmarks by phase",
        "How many Benchmarks are in which phase now.",
        "short",
        Query(f"sum by (phase) (max by ({BENCHMARK}, phase) (sdbench_benchmark_phase))", "{{phase}}"),
        width=6,
        decimals=0,
    ),
    bars(
        "Benchmarks by verdict",
        "How many gates say what; a Benchmark without a gate, or that has not ended, has no verdict.",
        "short",
        Query(
            f"sum by (verdict) ({VERDICTS}) or "
            + none_of("verdict", "no verdict", f"count({EACH}) - (count({VERDICTS} == 1) or vector(0))"),
            "{{verdict}}",
        ),
        width=6,
        decimals=0,
    ),
    bars(
        "Failed Trials by reason",
        "How many Trials of the Benchmarks that exist ended as Failed; docs/endings.md says what to do about each.",
        "short",
        Query(f"sum by (reason) ({FAILED}) or on () " + none_of("reason", "none", f"0 * count({EACH})"), "{{reason}}"),
        width=6,
        decimals=0,
    ),
    bars(
        "Longest wait for devices",
        "How long the Trial that waits longest has been waiting for its devices; 0 when none waits.",
        "s",
        Query(f"max by ({NAMESPACE}) (time() - {WAITING} or 0 * {EACH})", "{{namespace}} {{cluster}}"),
        width=6,
        decimals=0,
    ),
    areas(
        "Devices in use",
        "Devices that Attempts hold, by namespace.",
        "short",
        Query(f"sum by ({NAMESPACE}) ({HELD})", "{{namespace}} {{cluster}}"),
        width=12,
    ),
    bars(
        "Device-hours spent",
        "What the Benchmarks that exist have used themselves, by namespace, pulls and teardown included.",
        "suffix:device-hours",
        Query(f"sum by ({NAMESPACE}) ({SPENT}) / 3600", "{{namespace}} {{cluster}}"),
        width=6,
        decimals=2,
    ),
    bars(
        "Money spent",
        "Device-hours spent times spec.devices.hourlyPrice, of those that have a price; it adds up only where all are "
        "in one currency.",
        "none",
        Query(
            or_unknown(f"sum by ({NAMESPACE}) ({COST})", f"sum by ({NAMESPACE}) ({EACH})"), "{{namespace}} {{cluster}}"
        ),
        width=6,
        decimals=2,
    ),
    table(
        "All Benchmarks",
        "Every Benchmark with its phase, the devices that it holds and what it has spent; its name leads to its run.",
        {**BENCHMARK_COLUMNS, "phase": "Phase"},
        Query(f"max by ({BENCHMARK}, phase) (sdbench_benchmark_phase == 1)", ""),
        Query(HELD, "Devices", {"decimals": 0}),
        Query(f"{SPENT} / 3600", "Device-hours", {"decimals": 2}),
        Query(or_unknown(COST, EACH), "Cost", {"decimals": 2}),
        link=OPEN_RUN,
    ),
)

OPERATOR = (
    words(
        "Operator",
        "Which version of the operator runs.",
        Query('max by (cluster, version) (sdbench_build_info{component="operator"})', "{{version}} {{cluster}}"),
        width=4,
    ),
    numbers(
        "Last list",
        "How long ago all Benchmarks were last listed: every 45 s while all is well; unknown before the first.",
        "s",
        Query(or_unknown(f"time() - ({LAST_LIST} > 0)", LAST_LIST), "{{cluster}}"),
        width=4,
    ),
    numbers(
        "Last watch event",
        "How long ago a watch last said something; unknown before it ever did. It may rightly be silent for days.",
        "s",
        Query(or_unknown(f"time() - ({LAST_EVENT} > 0)", LAST_EVENT), "{{cluster}}"),
        width=4,
    ),
    numbers(
        "Queue depth",
        "How many Benchmarks wait for a pass.",
        "short",
        Query("max by (cluster) (sdbench_operator_queue_depth)", "{{cluster}}"),
        width=4,
    ),
    numbers(
        "Event loop lag",
        "How late the operator's event loop was last: more than a second means that something blocks it.",
        "s",
        Query("max by (cluster) (sdbench_operator_event_loop_lag_seconds)", "{{cluster}}"),
        width=8,
        decimals=3,
    ),
    lines(
        "Length of a pass",
        "Median and 95th percentile of how long the operator looks at a Benchmark; no line where no pass ended.",
        "s",
        Query(f"histogram_quantile(0.5, {BUCKETS})", "p50 {{cluster}}"),
        Query(f"histogram_quantile(0.95, {BUCKETS})", "p95 {{cluster}}"),
    ),
    lines(
        "Passes",
        "How many passes end in a second.",
        "ops",
        Query(
            "sum by (cluster) (rate(sdbench_operator_reconcile_duration_seconds_count[$__rate_interval]))",
            "passes {{cluster}}",
        ),
    ),
    lines(
        "Failed passes",
        "How many passes fail in a second, by reason; each is tried again, later and later.",
        "ops",
        Query(
            "sum by (cluster, reason) (rate(sdbench_operator_reconcile_errors_total[$__rate_interval]))",
            "{{reason}} {{cluster}}",
        ),
    ),
    lines(
        "API requests by code",
        "Requests to the API server by the code of its response; error means that there was none.",
        "reqps",
        Query(
            "sum by (cluster, code) (rate(sdbench_operator_api_requests_total[$__rate_interval]))",
            "{{code}} {{cluster}}",
        ),
        width=12,
    ),
    lines(
        "API requests by kind",
        "Requests to the API server by verb and resource.",
        "reqps",
        Query(
            "sum by (cluster, verb, resource) (rate(sdbench_operator_api_requests_total[$__rate_interval]))",
            "{{verb}} {{resource}} {{cluster}}",
        ),
        width=12,
    ),
)

FLEET = Dashboard(
    uid="sdbench-fleet",
    description="All Benchmarks together: phases, verdicts, devices, what they have cost and why Trials failed. Below, "
    "whether the operator is well. What a deleted Benchmark spent is not in it.",
    sections=(Section("Benchmarks", BENCHMARKS), Section("The operator", OPERATOR)),
)
