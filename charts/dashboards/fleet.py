"""Defines the dashboard *Fleet and operator*: all Benchmarks, and the operator's health."""

from charts.dashboards.catalog import BENCHMARK, EACH_BENCHMARK, WAITING_SECONDS, labelled, or_unknown
from charts.dashboards.dashboard import Dashboard, Section
from charts.dashboards.panels import BENCHMARK_COLUMNS, Query, areas, bars, lines, numbers, table, words

NAMESPACE = "cluster, namespace"
SPENT = f"max by ({BENCHMARK}) (sdbench_benchmark_spent_device_seconds_total)"
COST = f"max by ({BENCHMARK}) (sdbench_benchmark_spent_cost_total)"
HELD = f"max by ({BENCHMARK}) (sdbench_benchmark_devices)"
FAILED = f"max by ({BENCHMARK}, reason) (sdbench_benchmark_failed_trials)"
VERDICTS = f"max by ({BENCHMARK}, verdict) (sdbench_benchmark_verdict)"
BUCKETS = "sum by (cluster, le) (rate(sdbench_operator_reconcile_duration_seconds_bucket[$__rate_interval]))"
LAST_LIST = "max by (cluster) (sdbench_operator_last_list_timestamp_seconds)"
LAST_EVENT = "max by (cluster) (sdbench_operator_last_watch_event_timestamp_seconds)"

OPEN_RUN = {
    "title": "See it run",
    "url": "/d/sdbench-run?var-namespace=${__data.fields.Namespace}&var-benchmark=${__data.fields.Benchmark}"
    "&${datasource:queryparam}&${cluster:queryparam}&${__url_time_range}",
}

BENCHMARKS = (
    bars(
        "Benchmarks by phase",
        "Number of Benchmarks in each phase now.",
        "short",
        Query(f"sum by (phase) (max by ({BENCHMARK}, phase) (sdbench_benchmark_phase))", "{{phase}}"),
        width=6,
        decimals=0,
    ),
    bars(
        "Benchmarks by verdict",
        "Number of Benchmarks with each verdict. A Benchmark has none if it has no gate or has not ended.",
        "short",
        Query(
            f"sum by (verdict) ({VERDICTS}) or "
            + labelled(f"count({EACH_BENCHMARK}) - (count({VERDICTS} == 1) or vector(0))", "verdict", "no verdict"),
            "{{verdict}}",
        ),
        width=6,
        decimals=0,
    ),
    bars(
        "Failed Trials by reason",
        "Failed Trials of the Benchmarks that exist; docs/endings.md says what to do about each reason.",
        "short",
        Query(
            f"sum by (reason) ({FAILED}) or on () " + labelled(f"0 * count({EACH_BENCHMARK})", "reason", "none"),
            "{{reason}}",
        ),
        width=6,
        decimals=0,
    ),
    bars(
        "Longest wait for devices",
        "How long the longest waiting Trial has been waiting for its devices; 0 if none waits.",
        "s",
        Query(f"max by ({NAMESPACE}) ({WAITING_SECONDS})", "{{namespace}} {{cluster}}"),
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
        "Device-hours used by the Benchmarks that exist, by namespace; includes image pulls and teardown.",
        "suffix:device-hours",
        Query(f"sum by ({NAMESPACE}) ({SPENT}) / 3600", "{{namespace}} {{cluster}}"),
        width=6,
        decimals=2,
    ),
    bars(
        "Money spent",
        "Device-hours spent times spec.devices.hourlyPrice, for Benchmarks with a price. The sum is meaningful only if "
        "all prices are in one currency.",
        "none",
        Query(
            or_unknown(f"sum by ({NAMESPACE}) ({COST})", f"sum by ({NAMESPACE}) ({EACH_BENCHMARK})"),
            "{{namespace}} {{cluster}}",
        ),
        width=6,
        decimals=2,
    ),
    table(
        "All Benchmarks",
        "Every Benchmark with its phase, the devices it holds and what it has spent. Its name links to its run.",
        {**BENCHMARK_COLUMNS, "phase": "Phase"},
        Query(f"max by ({BENCHMARK}, phase) (sdbench_benchmark_phase == 1)", ""),
        Query(HELD, "Devices", {"decimals": 0}),
        Query(f"{SPENT} / 3600", "Device-hours", {"decimals": 2}),
        Query(or_unknown(COST, EACH_BENCHMARK), "Cost", {"decimals": 2}),
        link=OPEN_RUN,
    ),
)

OPERATOR = (
    words(
        "Operator",
        "The version of the running operator.",
        Query('max by (cluster, version) (sdbench_build_info{component="operator"})', "{{version}} {{cluster}}"),
        width=4,
    ),
    numbers(
        "Last list",
        "Time since all Benchmarks were last listed, which happens every 45 s; unknown before the first list.",
        "s",
        Query(or_unknown(f"time() - ({LAST_LIST} > 0)", LAST_LIST), "{{cluster}}"),
        width=4,
    ),
    numbers(
        "Last watch event",
        "Time since a watch last delivered an event; unknown before the first. Days without events can be normal.",
        "s",
        Query(or_unknown(f"time() - ({LAST_EVENT} > 0)", LAST_EVENT), "{{cluster}}"),
        width=4,
    ),
    numbers(
        "Queue depth",
        "Number of Benchmarks that wait for a pass.",
        "short",
        Query("max by (cluster) (sdbench_operator_queue_depth)", "{{cluster}}"),
        width=4,
    ),
    numbers(
        "Event loop lag",
        "Last measured delay of the operator's event loop; more than a second means that something blocks it.",
        "s",
        Query("max by (cluster) (sdbench_operator_event_loop_lag_seconds)", "{{cluster}}"),
        width=8,
        decimals=3,
    ),
    lines(
        "Pass duration",
        "Median and 95th percentile of the duration of a pass over a Benchmark; no line while no pass ends.",
        "s",
        Query(f"histogram_quantile(0.5, {BUCKETS})", "p50 {{cluster}}"),
        Query(f"histogram_quantile(0.95, {BUCKETS})", "p95 {{cluster}}"),
    ),
    lines(
        "Passes",
        "Passes per second.",
        "ops",
        Query(
            "sum by (cluster) (rate(sdbench_operator_reconcile_duration_seconds_count[$__rate_interval]))",
            "passes {{cluster}}",
        ),
    ),
    lines(
        "Failed passes",
        "Failed passes per second, by reason; each is retried with a growing delay.",
        "ops",
        Query(
            "sum by (cluster, reason) (rate(sdbench_operator_reconcile_errors_total[$__rate_interval]))",
            "{{reason}} {{cluster}}",
        ),
    ),
    lines(
        "API requests by code",
        "Requests to the API server by response code; error means that there was no response.",
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
    description="All Benchmarks together: phases, verdicts, devices, cost and failures. Below: the health of the "
    "operator. Deleted Benchmarks are not included.",
    sections=(Section("Benchmarks", BENCHMARKS), Section("The operator", OPERATOR)),
)
