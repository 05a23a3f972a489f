"""Defines the dashboard *Scaling*: the table of Points, their curves over devices, and their intervals."""

from charts.dashboards.catalog import OF_BASELINE, POINT, of_point
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

COLUMNS = {**BENCHMARK_COLUMNS, "devices": "Devices", "point": "Point"}
DOTS = {"custom.show": "points", "custom.pointSize": {"fixed": 4}}

ANSWER = (
    table(
        "Scaling table",
        "Every measured Point: mean images per second over its repeats with its 95 % interval, efficiency relative to "
        "the smallest device count, and the projected full training. Cost is in the currency of "
        "spec.devices.hourlyPrice; unknown values are marked.",
        COLUMNS,
        Query(RATE, "Images/s", {"decimals": 1}),
        Query(LOW, "from", {"decimals": 1}),
        Query(HIGH, "to", {"decimals": 1}),
        Query(VARIATION, "Variation", {"unit": "percentunit", "decimals": 2}),
        Query(EFFICIENCY, "Efficiency", {"unit": "percentunit", "decimals": 1}),
        Query(MFU, "MFU", {"unit": "percentunit", "decimals": 1}),
        Query(OF_BASELINE, "Of baseline", {"unit": "percentunit", "decimals": 1}),
        Query(DAYS, "Days", {"decimals": 2}),
        Query(HOURS, "Device-hours", {"decimals": 0}),
        Query(COST, "Cost", {"decimals": 2}),
    ),
)

CURVES = (
    curves(
        "Scaling efficiency",
        "Images per second per device, divided by that of the smallest measured count of the same Benchmark; not "
        "clamped at 100 %.",
        "percentunit",
        Query(EFFICIENCY, "Efficiency"),
    ),
    curves(
        "Speed and its interval",
        "Mean images per second of each Point. Small dots mark the 95 % interval, which needs at least two repeats.",
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
        "Coefficient of variation of median images per second; unknown after one repeat. Above 2 %, look for other "
        "workloads on the same nodes and switches.",
        "percentunit",
        Query(VARIATION, A_POINT),
        decimals=2,
    ),
    bars(
        "Rank skew",
        "The slowest rank's own work divided by the median rank's, in the worst repeat. 1 is even; all ranks wait for "
        "the slowest one.",
        "none",
        Query(f"max by ({POINT}) (sdbench_point_rank_skew_ratio)", A_POINT),
        decimals=2,
    ),
    bars(
        "Longest data wait",
        "Share of the window that the worst rank waited for its loader, in the worst repeat.",
        "percentunit",
        Query(f"max by ({POINT}) (sdbench_point_data_wait_ratio)", A_POINT),
    ),
    bars(
        "Model FLOPs utilisation",
        "Share of the devices' peak FLOPs that the model used; unknown if its FLOP count or the peak is unknown.",
        "percentunit",
        Query(MFU, A_POINT),
    ),
    bars(
        "Median speed",
        "Images per second at the median step, mean over the repeats; gates judge this.",
        "suffix:images/s",
        Query(f"max by ({POINT}) (sdbench_point_median_images_per_second)", A_POINT),
    ),
    bars(
        "Against the baseline",
        "Median images per second, divided by that of the baseline's same Point; below 100 % it is slower. Unknown if "
        "the baseline lacks the Point.",
        "percentunit",
        Query(OF_BASELINE, A_POINT),
    ),
)

SCALING = Dashboard(
    uid="sdbench-scaling",
    description="The results: what was measured at each Point, how it scales over devices, how long the full training "
    "would take and what it would cost, and how reliable the numbers are. They last as long as the Benchmark.",
    sections=(Section("Results", ANSWER), Section("Over devices", CURVES), Section("Reliability", TRUST)),
)
