"""Defines the dashboard *Run*: where one Benchmark stands, how fast it is, and what holds it back."""

from charts.dashboards.catalog import BENCHMARK, POINT, TRIAL, or_unknown
from charts.dashboards.dashboard import Dashboard, Section
from charts.dashboards.panels import Query, areas, bars, heat_map, lines, numbers, states, words

WHO = "{{namespace}}/{{benchmark}}"
A_TRIAL = f"{WHO} trial {{{{trial}}}}"
A_POINT = f"{WHO} {{{{point}}}}"

EACH = f"max by ({BENCHMARK}) (sdbench_benchmark_phase)"
"""One series for each Benchmark that exists, whatever its phase."""

BUCKETS = f"sum by ({TRIAL}, le) (rate(sdbench_step_duration_seconds_bucket[$__rate_interval]))"
THICK = {"custom.lineWidth": 3}
DASHED = {"custom.lineStyle": {"fill": "dash", "dash": [10, 10]}}
WINDOW = {0: ("Warm-up", "yellow"), 1: ("Measuring", "green"), 2: ("Complete", "blue")}


def nothing(label: str, value: str) -> str:
    """0 for each Benchmark, labelled so that the legend says of what there is none."""
    return f'label_replace(0 * {EACH}, "{label}", "{value}", "", "")'


def memory(name: str, metric: str) -> str:
    """A peak of memory, with whose memory it is as a label."""
    return f'label_replace(max by ({TRIAL}) ({metric}), "memory", "{name}", "", "")'


STANDING = (
    words(
        "Phase",
        "Where each Benchmark stands now.",
        Query(f"max by ({BENCHMARK}, phase) (sdbench_benchmark_phase == 1)", f"{WHO}: {{{{phase}}}}"),
    ),
    words(
        "Verdict",
        "What the gate says, from the end of the Benchmark on; a Benchmark without a gate never has a verdict.",
        Query(
            f"max by ({BENCHMARK}, verdict) (sdbench_benchmark_verdict == 1)"
            f" or on ({BENCHMARK}) {nothing('verdict', 'none so far')}",
            f"{WHO}: {{{{verdict}}}}",
        ),
    ),
    numbers(
        "Waiting for devices",
        "How long the Trial that waits longest has been waiting for its devices; 0 when none waits.",
        "s",
        Query(f"time() - min by ({BENCHMARK}) (sdbench_benchmark_waiting_since_timestamp_seconds) or 0 * {EACH}", WHO),
    ),
    numbers(
        "Devices held",
        "Devices that the Benchmark's Attempts hold now.",
        "short",
        Query(f"max by ({BENCHMARK}) (sdbench_benchmark_devices)", WHO),
    ),
    areas(
        "Trials",
        "How many Trials of each Benchmark are in which phase.",
        "short",
        Query(f"max by ({BENCHMARK}, phase) (sdbench_benchmark_trials)", f"{WHO} {{{{phase}}}}"),
        width=12,
    ),
    bars(
        "Failed Trials",
        "How many Trials ended as Failed, by reason; docs/endings.md says what to do about each.",
        "short",
        Query(
            f"max by ({BENCHMARK}, reason) (sdbench_benchmark_failed_trials)"
            f" or on ({BENCHMARK}) {nothing('reason', 'none')}",
            f"{WHO} {{{{reason}}}}",
        ),
        width=6,
        decimals=0,
    ),
    bars(
        "Spent",
        "Device-hours that the Benchmark itself has used so far, pulls and teardown included.",
        "suffix:device-hours",
        Query(f"max by ({BENCHMARK}) (sdbench_benchmark_spent_device_seconds_total) / 3600", WHO),
        width=6,
        decimals=2,
    ),
)

SPEED = (
    lines(
        "Images per second",
        "Thick: the trainer's own figure over its last steps. Thin: the rate of its counter of images between scrapes. "
        "Dashed: what spec.gate asks for, and what the baseline's Points measured. The live series show the warm-up "
        "too; results do not.",
        "suffix:images/s",
        Query(f"max by ({TRIAL}) (sdbench_images_per_second)", A_TRIAL, THICK),
        Query(f"sum by ({TRIAL}) (rate(sdbench_images_total[$__rate_interval]))", f"{A_TRIAL} (rate)"),
        Query(f"max by ({BENCHMARK}) (sdbench_benchmark_target_images_per_second)", f"{WHO} target", DASHED),
        Query(f"max by ({POINT}) (sdbench_point_baseline_images_per_second)", f"{A_POINT} baseline", DASHED),
        width=16,
    ),
    bars(
        "Result against the baseline",
        "Median images per second of each measured Point over that of the same Point in the Benchmark that "
        "spec.gate.baseline names: below 100 % it is slower. Unknown without such a Point.",
        "percentunit",
        Query(
            or_unknown(
                f"max by ({POINT}) (sdbench_point_median_images_per_second)"
                f" / max by ({POINT}) (sdbench_point_baseline_images_per_second)",
                f"max by ({POINT}) (sdbench_point_median_images_per_second)",
            ),
            A_POINT,
        ),
    ),
    heat_map(
        "Steps by their length",
        "How many optimiser steps took how long, without evaluation and checkpoints: a second band tells of stragglers "
        "or of a loader that falls behind from time to time.",
        "s",
        Query("sum by (le) (increase(sdbench_step_duration_seconds_bucket[$__rate_interval]))", "{{le}}"),
    ),
    lines(
        "Step time",
        "Median and 95th percentile of an optimiser step. The buckets of the histogram bound how exact they are.",
        "s",
        Query(f"histogram_quantile(0.5, {BUCKETS})", f"{A_TRIAL} p50"),
        Query(f"histogram_quantile(0.95, {BUCKETS})", f"{A_TRIAL} p95"),
        width=12,
    ),
)

HINDRANCES = (
    lines(
        "Data wait",
        "Share of the time that rank 0 waits for its loader: above a few percent, the loader bounds the measurement.",
        "percentunit",
        Query(f"sum by ({TRIAL}) (rate(sdbench_data_wait_seconds_total[$__rate_interval]))", A_TRIAL),
    ),
    lines(
        "Memory",
        "Most memory that rank 0's device has held; where the device is a processor, most that rank 0's process has.",
        "bytes",
        Query(
            f"{memory('device', 'sdbench_device_memory_peak_bytes')}"
            f" or on ({TRIAL}) {memory('host', 'sdbench_host_memory_peak_bytes')}",
            f"{A_TRIAL} {{{{memory}}}}",
        ),
    ),
    lines(
        "MFU",
        "Model FLOPs utilisation over the last steps. No line: the model's FLOP or the device's peak is not known, as "
        "on a processor.",
        "percentunit",
        Query(
            or_unknown(f"max by ({TRIAL}) (sdbench_mfu_ratio)", f"max by ({TRIAL}) (sdbench_images_per_second)"),
            A_TRIAL,
        ),
    ),
    states(
        "Measured window",
        "Whether the run warms up, is measured, or has its complete window: only the steps between make the result.",
        Query(f"max by ({TRIAL}) (sdbench_window_state)", A_TRIAL),
        WINDOW,
    ),
    lines(
        "Loss",
        "Loss of the last step, mean of all ranks. It must stay finite; a benchmark does not wait for it to fall.",
        "none",
        Query(f"max by ({TRIAL}) (sdbench_loss)", A_TRIAL),
    ),
    words(
        "Trainer",
        "Which model and which version of the trainer run, or ran last in the chosen time.",
        Query(f"max by ({TRIAL}, model, version) (sdbench_build_info)", f"{A_TRIAL}: {{{{model}}}}, {{{{version}}}}"),
        width=8,
        height=8,
        instant=False,
    ),
)

RUN = Dashboard(
    uid="sdbench-run",
    description="One Benchmark while it runs: where it stands, how fast it is against its target and its baseline, and "
    "what holds it back. The live panels come from the training pods and end with them.",
    sections=(
        Section("Where it stands", STANDING),
        Section("How fast it is", SPEED),
        Section("What holds it back", HINDRANCES),
    ),
)
