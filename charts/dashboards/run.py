"""Defines the dashboard *Run*: one Benchmark's progress, its speed, and what limits it."""

from charts.dashboards.catalog import (
    BENCHMARK,
    EACH_BENCHMARK,
    OF_BASELINE,
    POINT,
    TRIAL,
    WAITING_SECONDS,
    labelled,
    or_unknown,
)
from charts.dashboards.dashboard import Dashboard, Section
from charts.dashboards.panels import Query, areas, bars, heat_map, lines, numbers, states, words

WHO = "{{namespace}}/{{benchmark}}"
A_TRIAL = f"{WHO} trial {{{{trial}}}}"
A_POINT = f"{WHO} {{{{point}}}}"

BUCKETS = f"sum by ({TRIAL}, le) (rate(sdbench_step_duration_seconds_bucket[$__rate_interval]))"
THICK = {"custom.lineWidth": 3}
DASHED = {"custom.lineStyle": {"fill": "dash", "dash": [10, 10]}}
WINDOW = {0: ("Warm-up", "yellow"), 1: ("Measuring", "green"), 2: ("Complete", "blue")}


# A Benchmark without a verdict or a failure shows this 0, so that it does not vanish from the panel.
NO_VERDICT = labelled(f"0 * {EACH_BENCHMARK}", "verdict", "none so far")
NO_REASON = labelled(f"0 * {EACH_BENCHMARK}", "reason", "none")

DEVICE_MEMORY = labelled(f"max by ({TRIAL}) (sdbench_device_memory_peak_bytes)", "memory", "device")
HOST_MEMORY = labelled(f"max by ({TRIAL}) (sdbench_host_memory_peak_bytes)", "memory", "host")

STANDING = (
    words(
        "Phase",
        "The phase of each Benchmark now.",
        Query(f"max by ({BENCHMARK}, phase) (sdbench_benchmark_phase == 1)", f"{WHO}: {{{{phase}}}}"),
    ),
    words(
        "Verdict",
        "The gate's verdict, once the Benchmark has ended; a Benchmark without a gate has no verdict.",
        Query(
            f"max by ({BENCHMARK}, verdict) (sdbench_benchmark_verdict == 1) or on ({BENCHMARK}) {NO_VERDICT}",
            f"{WHO}: {{{{verdict}}}}",
        ),
    ),
    numbers(
        "Waiting for devices",
        "How long the longest waiting Trial has been waiting for its devices; 0 if none waits.",
        "s",
        Query(WAITING_SECONDS, WHO),
    ),
    numbers(
        "Devices held",
        "Devices that the Benchmark's Attempts hold now.",
        "short",
        Query(f"max by ({BENCHMARK}) (sdbench_benchmark_devices)", WHO),
    ),
    areas(
        "Trials",
        "Number of Trials of each Benchmark by phase.",
        "short",
        Query(f"max by ({BENCHMARK}, phase) (sdbench_benchmark_trials)", f"{WHO} {{{{phase}}}}"),
        width=12,
    ),
    bars(
        "Failed Trials",
        "Failed Trials by reason; docs/endings.md says what to do about each.",
        "short",
        Query(
            f"max by ({BENCHMARK}, reason) (sdbench_benchmark_failed_trials) or on ({BENCHMARK}) {NO_REASON}",
            f"{WHO} {{{{reason}}}}",
        ),
        width=6,
        decimals=0,
    ),
    bars(
        "Spent",
        "Device-hours that the Benchmark has used so far; includes image pulls and teardown.",
        "suffix:device-hours",
        Query(f"max by ({BENCHMARK}) (sdbench_benchmark_spent_device_seconds_total) / 3600", WHO),
        width=6,
        decimals=2,
    ),
)

SPEED = (
    lines(
        "Images per second",
        "Thick: the trainer's own rate over its last steps. Thin: the rate of its image counter between scrapes. "
        "Dashed: the target of spec.gate, and the measured rates of the baseline's Points. Live series include the "
        "warm-up; results do not.",
        "suffix:images/s",
        Query(f"max by ({TRIAL}) (sdbench_images_per_second)", A_TRIAL, THICK),
        Query(f"sum by ({TRIAL}) (rate(sdbench_images_total[$__rate_interval]))", f"{A_TRIAL} (rate)"),
        Query(f"max by ({BENCHMARK}) (sdbench_benchmark_target_images_per_second)", f"{WHO} target", DASHED),
        Query(f"max by ({POINT}) (sdbench_point_baseline_images_per_second)", f"{A_POINT} baseline", DASHED),
        width=16,
    ),
    bars(
        "Result against the baseline",
        "Median images per second of each measured Point, divided by that of the same Point in the Benchmark that "
        "spec.gate.baseline names; below 100 % it is slower. Unknown if the baseline lacks the Point.",
        "percentunit",
        Query(OF_BASELINE, A_POINT),
    ),
    heat_map(
        "Steps by duration",
        "Number of optimiser steps by duration, without evaluation and checkpoints. A second band points to "
        "stragglers, or to a loader that falls behind from time to time.",
        "s",
        Query("sum by (le) (increase(sdbench_step_duration_seconds_bucket[$__rate_interval]))", "{{le}}"),
    ),
    lines(
        "Step time",
        "Median and 95th percentile of an optimiser step; the histogram's buckets limit the precision.",
        "s",
        Query(f"histogram_quantile(0.5, {BUCKETS})", f"{A_TRIAL} p50"),
        Query(f"histogram_quantile(0.95, {BUCKETS})", f"{A_TRIAL} p95"),
        width=12,
    ),
)

LIMITS = (
    lines(
        "Data wait",
        "Share of time that rank 0 waits for its loader. Above a few percent, the loader limits the measured rate.",
        "percentunit",
        Query(f"sum by ({TRIAL}) (rate(sdbench_data_wait_seconds_total[$__rate_interval]))", A_TRIAL),
    ),
    lines(
        "Memory",
        "Peak memory of rank 0's device; on CPUs, of rank 0's process.",
        "bytes",
        Query(f"{DEVICE_MEMORY} or on ({TRIAL}) {HOST_MEMORY}", f"{A_TRIAL} {{{{memory}}}}"),
    ),
    lines(
        "MFU",
        "Model FLOPs utilisation over the last steps. No line if the model's FLOP count or the device's peak is "
        "unknown, as on CPUs.",
        "percentunit",
        Query(
            or_unknown(f"max by ({TRIAL}) (sdbench_mfu_ratio)", f"max by ({TRIAL}) (sdbench_images_per_second)"),
            A_TRIAL,
        ),
    ),
    states(
        "Measured window",
        "Whether the run warms up, is being measured, or is complete. Only the window's steps count for the result.",
        Query(f"max by ({TRIAL}) (sdbench_window_state)", A_TRIAL),
        WINDOW,
    ),
    lines(
        "Loss",
        "Loss of the last step, mean over all ranks. It must stay finite; a benchmark is too short for it to fall.",
        "none",
        Query(f"max by ({TRIAL}) (sdbench_loss)", A_TRIAL),
    ),
    words(
        "Trainer",
        "Model and trainer version of the current run, or of the last one in the chosen time range.",
        Query(f"max by ({TRIAL}, model, version) (sdbench_build_info)", f"{A_TRIAL}: {{{{model}}}}, {{{{version}}}}"),
        width=8,
        height=8,
        instant=False,
    ),
)

RUN = Dashboard(
    uid="sdbench-run",
    description="One Benchmark while it runs: its progress, its speed against its target and baseline, and what limits "
    "it. The live panels come from the training pods and end with them.",
    sections=(
        Section("Progress", STANDING),
        Section("Speed", SPEED),
        Section("Limits", LIMITS),
    ),
)
