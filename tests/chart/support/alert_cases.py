"""Lists situations in which each alert fires, and in which it stays silent.

Series have a value every 15 s from the epoch on, four a minute, so a timestamp of 0 is the time of the first sample.
"""

from dataclasses import dataclass

from chart.support.promtool import Series
from chart.support.rendering import NAMESPACE

OPERATOR = f'namespace="{NAMESPACE}",pod="sdbench-0"'
TRIAL = 'namespace="team-a",benchmark="tiny",trial="1"'
POD = f'{TRIAL},pod="tiny-1-master-0"'
BENCHMARK = 'namespace="team-a",benchmark="tiny"'
POINT = f'{BENCHMARK},point="devices=8",devices="8"'
SCRAPED = f'{POINT},pod="sdbench-0"'

IMAGES, STATE = f"sdbench_images_total{{{POD}}}", f"sdbench_window_state{{{POD}}}"
WAIT = f"sdbench_data_wait_seconds_total{{{POD}}}"
MEDIAN = f"sdbench_point_median_images_per_second{{{SCRAPED}}}"
BASELINE = f"sdbench_point_baseline_images_per_second{{{SCRAPED}}}"
POINT_WAIT, SKEW = f"sdbench_point_data_wait_ratio{{{SCRAPED}}}", f"sdbench_point_rank_skew_ratio{{{SCRAPED}}}"
BUILD = f'sdbench_build_info{{component="operator",version="1",{OPERATOR}}}'
LISTED = f"sdbench_operator_last_list_timestamp_seconds{{{OPERATOR}}}"
ERRORS = f'sdbench_operator_reconcile_errors_total{{reason="Forbidden",{OPERATOR}}}'
NEVER = "-2000000000"
"""The value before the first list. Really it is 0, decades before now; promtool's clock starts at the epoch."""

WAITING = f'sdbench_benchmark_waiting_since_timestamp_seconds{{{BENCHMARK},pod="sdbench-0"}}'


def failed_trials(reason: str) -> str:
    return f'sdbench_benchmark_failed_trials{{{BENCHMARK},reason="{reason}",pod="sdbench-0"}}'


def verdict(word: str) -> str:
    return f'sdbench_benchmark_verdict{{{BENCHMARK},verdict="{word}",pod="sdbench-0"}}'


@dataclass(frozen=True)
class Firing:
    """A situation in which an alert fires, with its labels and texts."""

    alert: str
    situation: str
    series: Series
    pending: str
    """A time at which it does not fire yet."""
    firing: str
    labels: str
    summary: str
    description: str


@dataclass(frozen=True)
class Silent:
    """A situation in which an alert does not fire at any of these times."""

    alert: str
    situation: str
    series: Series
    times: tuple[str, ...]


DOWN = (
    "Prometheus has scraped nothing from it for 5 minutes. Running training pods continue, but no Trial starts and no "
    "result is read: check its Deployment."
)
DEAF = (
    "It should list all Benchmarks every 45 seconds. It cannot reach the API server, may not list them, or the CRD is "
    "gone: read the log of pod sdbench-0."
)
STARVED = "Raise trainer.loader.workers, move the shards closer, or train on precomputed latents."
STALLED = (
    "It has trained no image for more than 10 minutes while it holds its devices, and its window is not complete. "
    "limits.stallSeconds and limits.firstStepSeconds should end it: read the log of pod tiny-1-master-0."
)

FIRING = (
    Firing(
        *("SdbenchOperatorDown", "it disappears", {BUILD: "1x19 stale"}, "9m45s", "10m15s"),
        'component="operator",namespace="sdbench-system"',
        "The sdbench operator in sdbench-system is down.",
        DOWN,
    ),
    Firing(
        "SdbenchOperatorDown",
        "only another namespace has an operator",
        {BUILD.replace(NAMESPACE, "elsewhere"): "1x60"},
        *("4m45s", "5m15s"),
        'component="operator",namespace="sdbench-system"',
        "The sdbench operator in sdbench-system is down.",
        DOWN,
    ),
    Firing(
        *("SdbenchOperatorDeaf", "its last list was at the epoch", {LISTED: "0x60"}, "5m", "6m"),
        OPERATOR,
        "The sdbench operator in sdbench-system has listed no Benchmarks for 6m 0s.",
        DEAF,
    ),
    Firing(
        *("SdbenchOperatorDeaf", "it has never listed", {LISTED: f"{NEVER}x60"}, "4m45s", "5m"),
        OPERATOR,
        "The sdbench operator in sdbench-system has listed no Benchmarks since it started.",
        DEAF,
    ),
    Firing(
        "SdbenchReconcileErrors",
        "one Benchmark fails, after the longest delay each time",
        {ERRORS: " ".join(f"{minute}x3" for minute in range(18))},
        *("9m", "17m"),
        f'reason="Forbidden",{OPERATOR}',
        "Passes of the sdbench operator in sdbench-system fail with reason Forbidden.",
        "About 5 passes failed in 5 minutes, and this has lasted for more than 10 minutes. Each is retried within a "
        "minute, but its Benchmark makes no progress until a pass succeeds: read the log of pod sdbench-0.",
    ),
    Firing(
        *("SdbenchTrialStalled", "in its window", {IMAGES: "0+8x19 160x80", STATE: "0x7 1x92"}, "16m", "17m45s"),
        POD,
        "Trial 1 of Benchmark team-a/tiny does not train.",
        STALLED,
    ),
    Firing(
        *("SdbenchTrialStalled", "before its first step", {IMAGES: "0x60", STATE: "0x60"}, "10m", "10m30s"),
        POD,
        "Trial 1 of Benchmark team-a/tiny does not train.",
        STALLED,
    ),
    Firing(
        *("SdbenchPendingTooLong", "a Trial waits for more than half an hour", {WAITING: "0x140"}, "30m", "31m"),
        BENCHMARK,
        "Benchmark team-a/tiny has been waiting too long for devices.",
        "One of its Trials has been waiting for 31m 0s. The message in the Trial's row says what it waits for: free "
        "devices, wait for the queue, or ask for fewer devices.",
    ),
    Firing(
        *(
            "SdbenchThroughputBelowBaseline",
            "a Point is 6 % slower",
            {MEDIAN: "94x40", BASELINE: "100x40"},
            "4m45s",
            "5m30s",
        ),
        POINT,
        "Benchmark team-a/tiny is slower than its baseline.",
        "At devices=8 it trains 94% of the baseline's images per second. Compare the devices and images of the "
        "two, and read the gate's finding, before you trust either result.",
    ),
    Firing(
        *("SdbenchDataStarved", "its window is open", {WAIT: "0+6x40", STATE: "1x40"}, "2m", "4m"),
        TRIAL,
        "Benchmark team-a/tiny is limited by its data loader, not by its devices.",
        f"Trial 1 waits for images 40% of the time. {STARVED}",
    ),
    Firing(
        *("SdbenchDataStarved", "its result says so", {POINT_WAIT: "0.21x40"}, "1m45s", "2m15s"),
        POINT,
        "Benchmark team-a/tiny is limited by its data loader, not by its devices.",
        f"At devices=8 it waited for images 21% of the time. {STARVED}",
    ),
    Firing(
        *("SdbenchRankSkew", "one rank is slower", {SKEW: "1.21x40"}, "1m45s", "2m15s"),
        POINT,
        "One rank of Benchmark team-a/tiny is slower than the others.",
        "At devices=8 the slowest rank needed 1.21 times the median rank's time for its own work, and all ranks wait "
        "for it: look for a hot or shared node.",
    ),
    Firing(
        *("SdbenchResultLost", "two Trials lost their Reports", {failed_trials("ReportLost"): "_x3 2x40"}, "30s", "1m"),
        BENCHMARK,
        "Benchmark team-a/tiny has lost results.",
        "The pods of 2 of its Trials exited with 0 but left no complete Report, in every Attempt: "
        "read the log of the master, which is kept for retention.failedSeconds.",
    ),
    Firing(
        *("SdbenchGateFailed", "the verdict comes", {verdict("Fail"): "_x3 1x40", verdict("Pass"): "_x3 0x40"}),
        *("30s", "1m", BENCHMARK),
        "Benchmark team-a/tiny has failed its gate.",
        "Its condition GatePassed says which limit failed, at which Point, and by how much. Delete the Benchmark when "
        "you have dealt with it; that ends the alert.",
    ),
)

MINUTES = tuple(f"{minute}m" for minute in (1, 3, 6, 9, 12, 15, 18, 21))

STARTING = ("0s", "15s", "30s", "1m", "4m45s", "5m", "5m15s", "5m30s", "6m")

SILENT = (
    Silent("SdbenchOperatorDown", "it runs", {BUILD: "1x90"}, MINUTES),
    Silent("SdbenchOperatorDown", "it is replaced within four minutes", {BUILD: "1x15 stale _x15 1x60"}, MINUTES),
    Silent(
        "SdbenchOperatorDeaf", "it lists every 45 s", {LISTED: " ".join(f"{t}x2" for t in range(0, 1350, 45))}, MINUTES
    ),
    Silent("SdbenchOperatorDeaf", "it is deaf for five minutes", {LISTED: "0x20 315x20"}, ("5m", "5m15s", "6m")),
    Silent("SdbenchOperatorDeaf", "it has just started", {LISTED: f"{NEVER} 15+15x90"}, STARTING),
    Silent(
        "SdbenchOperatorDeaf",
        "it is restarted while it is healthy",
        {LISTED: f"0+15x20 stale _x4 {NEVER}x1 420+15x90"},
        (*STARTING, "6m15s", "6m30s", "6m45s", *MINUTES),
    ),
    Silent("SdbenchOperatorDeaf", "it is replaced", {LISTED: "0+15x20 stale"}, (*MINUTES, "9m45s", "10m", "10m15s")),
    Silent("SdbenchOperatorDeaf", "it is down, which another alert reports", {LISTED: "0x8 stale"}, MINUTES),
    Silent("SdbenchReconcileErrors", "no pass fails", {ERRORS: "0x90"}, MINUTES),
    Silent(
        "SdbenchReconcileErrors",
        "the API server is unavailable for three minutes",
        {ERRORS: "0x4 0+3x12 36x80"},
        MINUTES,
    ),
    Silent(
        "SdbenchReconcileErrors", "a pass fails now and then", {ERRORS: " ".join(f"{n}x7" for n in range(11))}, MINUTES
    ),
    Silent("SdbenchTrialStalled", "it trains", {IMAGES: "0+8x90", STATE: "0x10 1x80"}, MINUTES),
    Silent(
        "SdbenchTrialStalled",
        "a step takes five minutes",
        {IMAGES: "0x19 8x19 16x19 24x19 32x19", STATE: "1x90"},
        MINUTES,
    ),
    Silent("SdbenchTrialStalled", "its window is complete", {IMAGES: "0+8x10 80x80", STATE: "1x10 2x80"}, MINUTES),
    Silent("SdbenchTrialStalled", "its pod is gone", {IMAGES: "0+8x10 80x20 stale", STATE: "1x30 stale"}, MINUTES),
    Silent("SdbenchPendingTooLong", "exactly half an hour", {WAITING: "0x120 stale"}, ("29m", "30m", "30m15s", "40m")),
    Silent("SdbenchPendingTooLong", "nothing waits", {verdict("Fail"): "0x160"}, ("31m", "40m")),
    Silent("SdbenchThroughputBelowBaseline", "at the limit", {MEDIAN: "95x60", BASELINE: "100x60"}, MINUTES),
    Silent("SdbenchThroughputBelowBaseline", "it is faster", {MEDIAN: "110x60", BASELINE: "100x60"}, MINUTES),
    Silent("SdbenchThroughputBelowBaseline", "the baseline is missing", {MEDIAN: "1x60"}, MINUTES),
    Silent("SdbenchThroughputBelowBaseline", "the Point is not measured yet", {BASELINE: "100x60"}, MINUTES),
    Silent("SdbenchDataStarved", "at the limit", {WAIT: "0+3x60", STATE: "1x60", POINT_WAIT: "0.2x60"}, MINUTES),
    Silent("SdbenchDataStarved", "the loader fills up in the warm-up", {WAIT: "0+12x60", STATE: "0x60"}, MINUTES),
    Silent("SdbenchDataStarved", "it waits for only a minute", {WAIT: "0x20 0+6x4 24x60", STATE: "1x90"}, MINUTES),
    Silent("SdbenchRankSkew", "at the limit", {SKEW: "1.2x60"}, MINUTES),
    Silent("SdbenchResultLost", "Trials failed for another reason", {failed_trials("Crashed"): "3x60"}, MINUTES),
    Silent("SdbenchGateFailed", "it passes", {verdict("Fail"): "0x60", verdict("Pass"): "1x60"}, MINUTES),
    Silent(
        *("SdbenchGateFailed", "a value is missing"),
        *({verdict("Fail"): "0x60", verdict("InsufficientData"): "1x60"}, MINUTES),
    ),
    Silent("SdbenchGateFailed", "it was deleted", {verdict("Fail"): "1x3 stale"}, ("2m", "6m")),
)
