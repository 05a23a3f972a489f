"""Tests that each alert fires when it must, and only then: promtool evaluates the rendered rules.

Series have a value each 15 s, four a minute, from the epoch on: a timestamp of 0 is that of the first sample.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from chart.support.promtool import Series, judged
from chart.support.rendering import NAMESPACE, Helm
from chart.support.rules import groups

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
    "Nothing has been scraped from it for 5 minutes. Training pods go on, but no Trial is started and no result is "
    "read: check its Deployment."
)
DEAF = (
    "It should list all of them every 45 seconds. It cannot reach the API server, lacks the right, or the CRD is gone: "
    "read the log of pod sdbench-0."
)
STARVED = "Raise trainer.loader.workers, bring the shards nearer, or train on precomputed latents."
STALLED = (
    "Its window is not complete, and it has not trained an image for more than 10 minutes, though it holds its "
    "devices. limits.stallSeconds and limits.firstStepSeconds should end it: read the log of pod tiny-1-master-0."
)

FIRING = (
    Firing(
        *("SdbenchOperatorDown", "it goes", {BUILD: "1x19 stale"}, "9m45s", "10m15s"),
        'component="operator",namespace="sdbench-system"',
        "The sdbench operator in sdbench-system is down.",
        DOWN,
    ),
    Firing(
        "SdbenchOperatorDown",
        "only that of another namespace is there",
        {BUILD.replace(NAMESPACE, "elsewhere"): "1x60"},
        *("4m45s", "5m15s"),
        'component="operator",namespace="sdbench-system"',
        "The sdbench operator in sdbench-system is down.",
        DOWN,
    ),
    Firing(
        *("SdbenchOperatorDeaf", "it has listed at the epoch", {LISTED: "0x60"}, "5m", "6m"),
        OPERATOR,
        "The sdbench operator in sdbench-system has listed no Benchmarks for 6m 0s.",
        DEAF,
    ),
    Firing(
        *("SdbenchOperatorDeaf", "it has never listed any", {LISTED: f"{NEVER}x60"}, "4m45s", "5m"),
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
        "Passes of the sdbench operator in sdbench-system fail as Forbidden.",
        "About 5 in 5 minutes, for more than 10 minutes. Each is retried within a minute, but nothing happens to "
        "its Benchmark until it succeeds: read the log of pod sdbench-0.",
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
        *("SdbenchPendingTooLong", "half an hour is over", {WAITING: "0x140"}, "30m", "31m"),
        BENCHMARK,
        "Benchmark team-a/tiny waits for devices.",
        "A Trial of it has been waiting for 31m 0s. The message in its row says what it waits for: free devices, "
        "wait for the queue, or ask for fewer.",
    ),
    Firing(
        *("SdbenchThroughputBelowBaseline", "6 % are lost", {MEDIAN: "94x40", BASELINE: "100x40"}, "4m45s", "5m30s"),
        POINT,
        "Benchmark team-a/tiny is slower than its baseline.",
        "At devices=8 it trains 94% of the baseline's images per second. Compare the devices and images of the "
        "two, and the gate's finding, before you trust either.",
    ),
    Firing(
        *("SdbenchDataStarved", "its window is open", {WAIT: "0+6x40", STATE: "1x40"}, "2m", "4m"),
        TRIAL,
        "Benchmark team-a/tiny measures its data, not its devices.",
        f"Trial 1 waits for images 40% of the time. {STARVED}",
    ),
    Firing(
        *("SdbenchDataStarved", "as it was measured", {POINT_WAIT: "0.21x40"}, "1m45s", "2m15s"),
        POINT,
        "Benchmark team-a/tiny measures its data, not its devices.",
        f"At devices=8 it waited for images 21% of the time. {STARVED}",
    ),
    Firing(
        *("SdbenchRankSkew", "one is slower", {SKEW: "1.21x40"}, "1m45s", "2m15s"),
        POINT,
        "One rank of Benchmark team-a/tiny is slower than the others.",
        "At devices=8 the slowest rank took 1.21 times as long as the median one before it met the others, and all of "
        "them wait for it: look for a hot or shared node.",
    ),
    Firing(
        *("SdbenchResultLost", "two Trials", {failed_trials("ReportLost"): "_x3 2x40"}, "30s", "1m"),
        BENCHMARK,
        "Benchmark team-a/tiny has lost results.",
        "The pods of 2 of its Trials exited with 0 but left no complete Report, in every Attempt: "
        "read the log of the master, which is kept for retention.failedSeconds.",
    ),
    Firing(
        *("SdbenchGateFailed", "the verdict comes", {verdict("Fail"): "_x3 1x40", verdict("Pass"): "_x3 0x40"}),
        *("30s", "1m", BENCHMARK),
        "Benchmark team-a/tiny has failed its gate.",
        "Its condition GatePassed says which limit, at which Point, and by how much. Delete the Benchmark when you "
        "have dealt with it: that ends the alert.",
    ),
)

MINUTES = tuple(f"{minute}m" for minute in (1, 3, 6, 9, 12, 15, 18, 21))

STARTING = ("0s", "15s", "30s", "1m", "4m45s", "5m", "5m15s", "5m30s", "6m")

SILENT = (
    Silent("SdbenchOperatorDown", "it is there", {BUILD: "1x90"}, MINUTES),
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
    Silent("SdbenchOperatorDeaf", "it is down, which another alert tells", {LISTED: "0x8 stale"}, MINUTES),
    Silent("SdbenchReconcileErrors", "none", {ERRORS: "0x90"}, MINUTES),
    Silent("SdbenchReconcileErrors", "an API server is away for three minutes", {ERRORS: "0x4 0+3x12 36x80"}, MINUTES),
    Silent("SdbenchReconcileErrors", "one now and then", {ERRORS: " ".join(f"{n}x7" for n in range(11))}, MINUTES),
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
    Silent("SdbenchThroughputBelowBaseline", "faster", {MEDIAN: "110x60", BASELINE: "100x60"}, MINUTES),
    Silent("SdbenchThroughputBelowBaseline", "no baseline", {MEDIAN: "1x60"}, MINUTES),
    Silent("SdbenchThroughputBelowBaseline", "not measured yet", {BASELINE: "100x60"}, MINUTES),
    Silent("SdbenchDataStarved", "at the limit", {WAIT: "0+3x60", STATE: "1x60", POINT_WAIT: "0.2x60"}, MINUTES),
    Silent("SdbenchDataStarved", "the loader fills up in the warm-up", {WAIT: "0+12x60", STATE: "0x60"}, MINUTES),
    Silent("SdbenchDataStarved", "for a minute only", {WAIT: "0x20 0+6x4 24x60", STATE: "1x90"}, MINUTES),
    Silent("SdbenchRankSkew", "at the limit", {SKEW: "1.2x60"}, MINUTES),
    Silent("SdbenchResultLost", "Trials failed otherwise", {failed_trials("Crashed"): "3x60"}, MINUTES),
    Silent("SdbenchGateFailed", "it passes", {verdict("Fail"): "0x60", verdict("Pass"): "1x60"}, MINUTES),
    Silent(
        *("SdbenchGateFailed", "something is missing"),
        *({verdict("Fail"): "0x60", verdict("InsufficientData"): "1x60"}, MINUTES),
    ),
    Silent("SdbenchGateFailed", "it was deleted", {verdict("Fail"): "1x3 stale"}, ("2m", "6m")),
)


@pytest.mark.parametrize("case", FIRING, ids=lambda case: f"{case.alert}, {case.situation}")
def test_an_alert_fires_after_its_time_with_its_labels_and_words(helm: Helm, tmp_path: Path, case: Firing) -> None:
    rules = groups(helm)
    rule = next(one for group in rules for one in group["rules"] if one.get("alert") == case.alert)
    expected = {
        "exp_labels": {**_labels(case.labels), **rule["labels"]},
        "exp_annotations": {
            "summary": case.summary,
            "description": case.description,
            "runbook_url": rule["annotations"]["runbook_url"],
        },
    }
    tests = [
        {"eval_time": case.pending, "alertname": case.alert, "exp_alerts": []},
        {"eval_time": case.firing, "alertname": case.alert, "exp_alerts": [expected]},
    ]
    judged(tmp_path, rules, case.series, {"alert_rule_test": tests})


@pytest.mark.parametrize("case", SILENT, ids=lambda case: f"{case.alert}, {case.situation}")
def test_an_alert_stays_silent(helm: Helm, tmp_path: Path, case: Silent) -> None:
    tests = [{"eval_time": time, "alertname": case.alert, "exp_alerts": []} for time in case.times]
    judged(tmp_path, groups(helm), case.series, {"alert_rule_test": tests})


def test_each_alert_has_situations_of_both_kinds(helm: Helm) -> None:
    alerts = {rule["alert"] for group in groups(helm) for rule in group["rules"] if "alert" in rule}
    assert {case.alert for case in FIRING} == {case.alert for case in SILENT} == alerts


def test_a_healthy_run_raises_nothing(helm: Helm, tmp_path: Path) -> None:
    healthy = {
        BUILD: "1x90",
        LISTED: "0+15x90",
        ERRORS: "0x90",
        IMAGES: "0+120x90",
        STATE: "0x8 1x80",
        WAIT: "0+0.3x90",
        WAITING: "0x8 stale",
        MEDIAN: "8x90",
        BASELINE: "8.1x90",
        POINT_WAIT: "0.02x90",
        SKEW: "1.05x90",
        failed_trials("Crashed"): "1x90",
        verdict("Pass"): "1x90",
        verdict("Fail"): "0x90",
    }
    tests = [{"expr": "ALERTS", "eval_time": time, "exp_samples": []} for time in MINUTES]
    judged(tmp_path, groups(helm), healthy, {"promql_expr_test": tests})


RESTARTED = f"0x40 stale _x4 {NEVER}x80"
"""It lists once, then not for ten minutes; the kubelet restarts it in one; and it still does not list."""


def test_a_deaf_operator_that_is_restarted_fires_on_until_it_lists(helm: Helm, tmp_path: Path) -> None:
    listing = {LISTED: f"{RESTARTED} {127 * 15}+15x40"}
    firing = [f"{seconds}s" for seconds in range(315, 127 * 15, 15)]
    silent = [f"{seconds}s" for seconds in (0, 300, 127 * 15, 130 * 15, 150 * 15)]
    count = 'count(ALERTS{alertname="SdbenchOperatorDeaf",alertstate="firing"})'
    tests = [{"expr": count, "eval_time": time, "exp_samples": [{"labels": "{}", "value": 1}]} for time in firing]
    tests += [{"expr": count, "eval_time": time, "exp_samples": []} for time in silent]
    judged(tmp_path, groups(helm), listing, {"promql_expr_test": tests})


def _labels(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split('",'))
    return {name: value.strip('"') for name, _, value in pairs}
