"""Defines the dashboard *Scaling*: the table of Points, their curves over devices, and their intervals."""

from charts.dashboards.catalog import POINT, of_point, or_unknown
from charts.dashboards.dashboard import Dashboard, Section
from charts.dashboards.panels import BENCHMARK_COLUMNS, Query, bars, curves, table

A_POINT = "{{namespace}}/{{benchmark}} {{point}}"
RATE = f"max by ({POINT}) (sdbench_point_images_per_second)"
EFFICIENCY = f"max by ({POINT}) (sdbench_point_scaling_efficiency_ratio)"
LOW = of_point("sdbench_point_images_per_second_low")
HIGH = of_point("sdbench_point_images_per_second_high")
VARIATION = of_point("sdbench_point_variation_ratio")
MFU = of_point("sdbench_point_mfu_ratio")
DAYS = of_point("sdbench_point_projected_days")
HOURS = of_point("sdbench_point_device_hours")
COST = of_point("sdbench_point_projected_cost")
BASELINE = or_unknown(
    f"max by ({POINT}) (sdbench_point_median_images_per_second)"
    f" / max by ({POINT}) (sdbench_point_baseline_images_per_second)",
    RATE,
)

COLUMNS = {**BENCHMARK_COLUMNS, "devices": "Devices", "point": "Point"}
DOTS = {"custom.show": "points", "custom.pointSize": {"fixed": 4}}

ANSWER = (
    table(
        "Scaling table",
        "Every measured Point: mean images per second over its repeats with the ends of its 95 % interval, efficiency "
        "against the smallest count, and the projected full training. Cost is in the currency of "
        "spec.devices.hourlyPrice; what is not known is told as such.",
        COLUMNS,
        Query(RATE, "Images/s", {"decimals": 1}),
        Query(LOW, "from", {"decimals": 1}),
        Query(HIGH, "to", {"decimals": 1}),
        Query(VARIATION, "Variation", {"unit": "percentunit", "decimals": 2}),
        Query(EFFICIENCY, "Efficiency", {"unit": "percentunit", "decimals": 1}),
        Query(MFU, "MFU", {"unit": "percentunit", "decimals": 1}),
        Query(BASELINE, "Of baseline", {"unit": "percentunit", "decimals": 1}),
        Query(DAYS, "Days", {"decimals": 2}),
        Query(HOURS, "Device-hours", {"decimals": 0}),
        Query(COST, "Cost", {"decimals": 2}),
    ),
)

CURVES = (
    curves(
        "Scaling efficiency",
        "Images per second per device over that of the smallest measured count of the same Benchmark. It is not "
        "clamped: above 100 % is shown as such.",
        "percentunit",
        Query(EFFICIENCY, "Efficiency"),
    ),
    curves(
        "Speed and its interval",
        "Mean images per second of each Point, and as small dots the ends of its 95 % interval; after one repeat there "
        "is no interval.",
        "suffix:images/s",
        Query(RATE, "Images/s"),
        Query(LOW, "Interval from", DOTS),
        Query(HIGH, "Interval to", DOTS),
    ),
    curves(
        "Days of the full training",
        "How long the projected training takes at the measured rate.",
        "suffix:days",
        Query(DAYS, "Days"),
    ),
    curves(
        "Cost of the full training",
        "Device-hours of the projected training times spec.devices.hourlyPrice, in its currency.",
        "none",
        Query(COST, "Cost"),
    ),
)

TRUST = (
    bars(
        "Variation between repeats",
        "Coefficient of variation of median images per second; unknown after one repeat. Above 2 %, look for "
        "neighbours on the same nodes and switches.",
        "percentunit",
        Query(VARIATION, A_POINT),
        decimals=2,
    ),
    bars(
        "Rank skew",
        "Slowest rank's own work over the median rank's, the worst of the repeats: 1 is even, and all wait for the "
        "slowest.",
        "none",
        Query(f"max by ({POINT}) (sdbench_point_rank_skew_ratio)", A_POINT),
        decimals=2,
    ),
    bars(
        "Longest data wait",
        "Share of the window that the worst rank waited for its loader, the worst of the repeats.",
        "percentunit",
        Query(f"max by ({POINT}) (sdbench_point_data_wait_ratio)", A_POINT),
    ),
    bars(
        "Model FLOPs utilisation",
        "Share of the devices' peak that the model's arithmetic used; unknown where its FLOP or the peak is.",
        "percentunit",
        Query(MFU, A_POINT),
    ),
    bars(
        "Median speed",
        "Median-step images per second, mean over the repeats: what gates judge.",
        "suffix:images/s",
        Query(f"max by ({POINT}) (sdbench_point_median_images_per_second)", A_POINT),
    ),
    bars(
        "Against the baseline",
        "Median images per second over that of the same Point of the baseline: below 100 % it is slower. Unknown "
        "without such a Point.",
        "percentunit",
        Query(BASELINE, A_POINT),
    ),
)

SCALING = Dashboard(
    uid="sdbench-scaling",
    description="The answer: what was measured at each Point, how it scales over devices, how long and how dear the "
    "full training would be, and how far the numbers can be trusted. It stays as long as the Benchmark does.",
    sections=(Section("The answer", ANSWER), Section("Over devices", CURVES), Section("How sure it is", TRUST)),
)
